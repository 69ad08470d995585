"""Who may stand on which side of a split."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.training.data import corpus
from beetsplug.artifactnet.training.data.corpus import Clip

FAMILIES = [family for fold in corpus.FOLD_FAMILIES for family in fold] + ["Brand New"]


@st.composite
def clips(draw: st.DrawFn) -> list[Clip]:
    """Draw clips of many families and sources, some sources holding both labels."""
    n = draw(st.integers(1, 60))
    drawn = []
    for number in range(n):
        label = draw(st.integers(0, 1))
        drawn.append(
            Clip(
                path=Path(f"{number}.wav"),
                label=label,
                family=draw(st.sampled_from(FAMILIES)) if label else "",
                generator="",
                source=draw(st.sampled_from(["a/a", "b/b", "debian:x", "debian:y", "c/c"])),
                track=f"t{draw(st.integers(0, 20))}",
                sample_rate=44_100,
            )
        )
    return drawn


ADDED = Clip(Path("added.wav"), 0, "", "", "debian:added", "added:theme", 44_100, is_added=True)


@given(clips())
def test_no_family_source_or_track_stands_on_two_sides(drawn: list[Clip]) -> None:
    """Training and test side of every fold share no AI family, no source and no track."""
    for split in corpus.split_folds(drawn):
        for name in ("source", "track"):
            train, test = (
                {getattr(clip, name) for clip in side} for side in (split.train, split.test)
            )
            assert train & test == set()
        train, test = (
            {c.family for c in side if c.label} for side in (split.train, split.test)
        )
        assert train & test == set()


@given(clips())
def test_every_clip_is_judged_in_exactly_one_fold(drawn: list[Clip]) -> None:
    """The test sides of all folds are a partition of the clips."""
    judged = [clip for split in corpus.split_folds(drawn) for clip in split.test]
    assert sorted(judged, key=str) == sorted(drawn, key=str)


@given(clips())
def test_an_added_clip_is_always_heard_and_never_judged(drawn: list[Clip]) -> None:
    """It stands on each fold's training side, changes no fold, and calibrates nothing."""
    with_it = corpus.split_folds([*drawn, ADDED])
    for split, before in zip(with_it, corpus.split_folds(drawn), strict=True):
        assert split.train == (*before.train, ADDED)
        assert split.test == before.test
    assert corpus.calibration_clips([*drawn, ADDED]) == corpus.calibration_clips(drawn)


@given(clips())
def test_calibration_clips_are_whole_sources_of_real_music(drawn: list[Clip]) -> None:
    """A calibration source is human-made, and all of it is held back."""
    held_back = corpus.calibration_clips(drawn)
    sources = {clip.source for clip in held_back}
    assert sorted(held_back, key=str) == sorted(
        (clip for clip in drawn if clip.source in sources), key=str
    )
    assert all(not clip.label for clip in held_back)


def test_related_families_are_one() -> None:
    """No family that is folded into another is dealt to a fold of its own."""
    assert not set(corpus.RELATED_FAMILIES) & set(FAMILIES)


def test_a_manifest_is_read_row_by_row(tmp_path: Path) -> None:
    """Related families become one, real clips have none, paths are joined."""
    (tmp_path / "manifest.csv").write_text(
        "file,label,kind,generator,family,track,source,sample_rate,skip_s,seconds\n"
        "ai/a.mp3,ai,ai,musicon-1,MusiConGen,t1,x/y,32000,0.3,4.8\n"
        "real/b.flac,real,real,,real,t2,x/z,44100,0.0,4.5\n"
    )
    assert corpus.read_manifest(tmp_path) == [
        Clip(tmp_path / "ai/a.mp3", 1, "MusicGen", "musicon-1", "x/y", "t1", 32_000, 0.3),
        Clip(tmp_path / "real/b.flac", 0, "", "", "x/z", "t2", 44_100, 0.0),
    ]
