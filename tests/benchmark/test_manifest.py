"""Reading labelled tracks: every schema, finding the audio, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.benchmark.manifest import (
    LabelledTrack,
    Manifest,
    judged_split,
    read_manifest,
)
from beetsplug.artifactnet.errors import ConfigError
from tests.support.labelled_tracks import (
    BenchTrack,
    bench_tracks,
    training_list,
    v1,
    v1_1,
    v2,
    write_json,
)

Schema = Callable[[Sequence[BenchTrack]], dict[str, Any]]


def row(**fields: object) -> dict[str, object]:
    return {"path": "a.wav", "label": "ai", "track_id": "one", **fields}


REAL = row(track_id="two", label="real", path="b.wav")


def refused(path: Path, audio_root: Path | None = None) -> str:
    """Return the one line with which a manifest is refused."""
    with pytest.raises(ConfigError) as caught:
        read_manifest(path, audio_root)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_folder_has_no_audio_root(tmp_path: Path) -> None:
    """It holds its audio itself, so a root would have no effect."""
    assert "--audio-root goes with a manifest" in refused(tmp_path, tmp_path)


def without_identity(manifest: Manifest) -> list[LabelledTrack]:
    """Return the tracks without what the schemas name differently."""
    return [replace(t, track_id="", lineage_id="", split="") for t in manifest.tracks]


def partition(manifest: Manifest) -> list[int]:
    """Return for each track the place of the first one of its lineage."""
    lineages = [track.lineage for track in manifest.tracks]
    return [lineages.index(lineage) for lineage in lineages]


@pytest.mark.parametrize("schema", [v1, v1_1, v2])
def test_schemas_give_the_same_tracks(schema: Schema, tmp_path: Path) -> None:
    """ArtifactBench's three schemas say the same of a track, whatever they call it."""
    tracks = bench_tracks()
    (tmp_path / "suno").mkdir()
    for track in tracks[:40]:
        if track.source == "suno":
            (tmp_path / "suno" / Path(track.path).name).touch()
    manifest = read_manifest(write_json(tmp_path / "m.json", schema(tracks)), tmp_path)
    first = read_manifest(write_json(tmp_path / "v1.json", v1(tracks)), tmp_path)
    assert manifest.is_artifactbench
    assert without_identity(manifest) == without_identity(first)
    assert partition(manifest) == partition(first)
    assert [t.split == "test" for t in manifest.tracks] == [t.split == "test" for t in tracks]
    assert [t.path is not None for t in manifest.tracks] == [
        track.source == "suno" and track.number < 40 for track in tracks
    ]


def test_schema_names(tmp_path: Path) -> None:
    tracks = bench_tracks(12)
    found = [
        read_manifest(write_json(tmp_path / "m.json", schema(tracks))).schema
        for schema in (v1, v1_1, v2, training_list)
    ]
    assert found == [
        "ArtifactBench v1",
        "ArtifactBench v1.1",
        "ArtifactBench v2",
        "training list",
    ]


def test_training_list(tmp_path: Path) -> None:
    """Rows of both lists are tracks, and each list is a split; the test one is judged."""
    tracks = bench_tracks(30)
    manifest = read_manifest(write_json(tmp_path / "m.json", training_list(tracks)))
    assert not manifest.is_artifactbench
    assert [t.split for t in manifest.tracks] == sorted(
        (track.split for track in tracks), reverse=True
    )
    assert judged_split(manifest.tracks) == "test"


def test_v2_splits_as_its_protocol(tmp_path: Path) -> None:
    """``protocol_split`` counts, and ``bench_origin`` only where there is none."""
    rows = [
        row(track_id=str(place), label=label, protocol_split=split, bench_origin="train")
        for place, (split, label) in enumerate(
            (split, label)
            for split in ("calibration", "validation", "test")
            for label in ("ai", "real")
        )
    ]
    rows.append(row(track_id="old", bench_origin="train"))
    path = write_json(tmp_path / "m.json", {"schema_version": 2, "tracks": rows})
    splits = [track.split for track in read_manifest(path).tracks]
    assert splits[::2] == ["calibration", "validation", "test", "train"]


def test_runtime_path_comes_first(tmp_path: Path) -> None:
    (tmp_path / "bound.wav").touch()
    (tmp_path / "b.wav").touch()
    rows = [row(runtime_path=str(tmp_path / "bound.wav")), REAL]
    manifest = read_manifest(write_json(tmp_path / "m.json", {"tracks": rows}))
    assert [t.path for t in manifest.tracks] == [tmp_path / "bound.wav", tmp_path / "b.wav"]


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("/data/author/suno/a.wav", "suno/a.wav"),
        ("C:\\author\\suno\\a.wav", "suno/a.wav"),
        ("/elsewhere/only.wav", "deep/down/only.wav"),
        ("/x/down/twin.wav", "deep/down/twin.wav"),
        ("/x/suno/none.wav", None),
        ("../../outside.wav", None),
        ("", None),
        ("a\0.wav", None),
        (f"{'long' * 100}.wav", None),
    ],
)
def test_remapping(file: str, found: str | None, tmp_path: Path) -> None:
    """A file is found by the end of its path, then by its name, and never outside the root."""
    root = tmp_path / "audio" / "root"
    for name in (
        "suno/a.wav",
        "a.wav",
        "deep/down/only.wav",
        "deep/down/twin.wav",
        "p/twin.wav",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (tmp_path / "outside.wav").touch()
    path = write_json(tmp_path / "m.json", {"bench": [row(path=file), REAL]})
    track = read_manifest(path, root).tracks[0]
    assert track.path == (root / found if found else None)


def test_ambiguous_name(tmp_path: Path) -> None:
    """A name that could be any of several files is refused, not guessed."""
    root = tmp_path / "audio"
    for folder in ("x", "y"):
        (root / folder).mkdir(parents=True)
        (root / folder / "a.wav").touch()
    path = write_json(tmp_path / "m.json", {"bench": [REAL, row(path="/z/a.wav")]})
    line = refused(path, root)
    assert "row 2 of bench: path" in line
    assert "x/a.wav, y/a.wav" in line


def test_lineage_of_v1(tmp_path: Path) -> None:
    """Without a lineage it is the hash in the id, or the id itself."""
    rows = [row(track_id="0123456789abcdef_7"), row(track_id="plain_7", label="real")]
    tracks = read_manifest(write_json(tmp_path / "m.json", {"bench": rows})).tracks
    assert [track.lineage for track in tracks] == ["0123456789abcdef", "plain_7"]


BAD_JSON: list[tuple[object, str]] = [
    ([], "must be an object, this is a list"),
    ({}, "no list 'bench', 'tracks', 'train' or 'test'"),
    ({"bench": {}}, "bench is an object, it must be a list"),
    ({"bench": []}, "there are no tracks"),
    ({"bench": [REAL, 5]}, "row 2 of bench is a number"),
    ({"bench": [REAL, row(label="fake")]}, "row 2 of bench: label is 'fake'"),
    ({"bench": [row(label=None)]}, "row 1 of bench: label is missing"),
    ({"bench": [row(label=1)]}, "row 1 of bench: label is 1, it must be a text"),
    ({"tracks": [row(track_id=None)]}, "row 1 of tracks: track_id is missing"),
    ({"tracks": [row(track_id=7)]}, "row 1 of tracks: track_id is 7"),
    ({"tracks": [row(source=["x"])]}, "row 1 of tracks: source is ['x']"),
    ({"tracks": [row(path=3)]}, "row 1 of tracks: path is 3"),
    ({"tracks": [row(), REAL, row()]}, "row 3 of tracks: track_id 'one' is that of row 1"),
    (
        {"train": [row()], "test": [row(), REAL]},
        "row 1 of test: track_id 'one' is that of row 1 of train",
    ),
    ({"schema_version": 3, "tracks": [row()]}, "schema_version is 3"),
    ({"schema_version": [2], "tracks": [row()]}, "schema_version is [2]"),
    ({"schema_version": True, "tracks": [row()]}, "schema_version is True"),
    ({"tracks": [row(protocol_split="dev")]}, "row 1 of tracks: protocol_split is 'dev'"),
    ({"bench": [row(bench_origin="x")]}, "row 1 of bench: bench_origin is 'x'"),
    ({"bench": [row(), row(track_id="3")]}, "one label only: all 2 tracks are 'ai'"),
    (
        {"bench": [row(bench_origin="test"), {**REAL, "bench_origin": "train"}]},
        "all 1 tracks in the split 'test' are 'ai'",
    ),
    (
        {
            "tracks": [
                row(protocol_split="calibration"),
                {**REAL, "protocol_split": "calibration"},
            ]
        },
        "no track has the split 'test'",
    ),
    (
        {
            "tracks": [
                row(protocol_split="test"),
                {**REAL, "protocol_split": "test"},
                row(track_id="3", protocol_split="calibration"),
            ]
        },
        "all 1 tracks in the split 'calibration' are 'ai'",
    ),
]


@pytest.mark.parametrize(("values", "line"), BAD_JSON)
def test_bad_json_manifest(values: object, line: str, tmp_path: Path) -> None:
    """What is wrong is one line that names the row and the field."""
    assert line in refused(write_json(tmp_path / "m.json", values))


def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    assert "cannot be read: No such file" in refused(path)
    path.write_text("{")
    assert "is not valid JSON" in refused(path)
    path.write_text("[" * 100_000)
    assert "is not valid JSON" in refused(path)
    path.write_bytes(b"\xff\xfe{}")
    assert "is not UTF-8" in refused(path)
    assert "is no folder" in refused(path, tmp_path / "none")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["bench", "tracks", "test", "track_id", "label", "path", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json(tmp_path_factory: pytest.TempPathFactory, values: object) -> None:
    """Whatever JSON there is: tracks, or one line."""
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(values))
    try:
        found: set[str] = {track.label for track in read_manifest(path).tracks}
    except ConfigError as error:
        found = set(str(error).splitlines()[1:])
    assert found in ({"ai", "real"}, set())


def test_csv(tmp_path: Path) -> None:
    """Columns by name, in any order; paths from the file's folder."""
    (tmp_path / "one, two.wav").touch()
    path = tmp_path / "m.csv"
    path.write_text(
        '\ufefflabel,path,split,lineage_id,mood\nai,"one, two.wav",test,L,x\n'
        "real,gone\u2028.wav,test\n",
        encoding="utf-8",
    )
    manifest = read_manifest(path)
    assert (manifest.schema, manifest.name) == ("CSV", "m.csv")
    assert manifest.tracks == (
        LabelledTrack(
            "one, two.wav", tmp_path / "one, two.wav", "ai", lineage_id="L", split="test"
        ),
        LabelledTrack("gone\u2028.wav", None, "real", split="test"),
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "line 1: the column path is missing"),
        ("path,class\na,ai\n", "line 1: the column label is missing"),
        ("path,label\n", "there are no tracks"),
        ("path,label\na.wav,AI\n", "line 2: label is 'AI', it must be 'ai' or 'real'"),
        ("path,label\na.wav,ai\nb.wav\n", "line 3: label is missing"),
        ("path,label\n,ai\n", "line 2: path is missing"),
        ("path,label\na,ai\nb,real\na,ai\n", "line 4: path 'a' is that of line 2 already"),
        ("path,label,split\na,ai,dev\n", "line 2: split is 'dev'"),
        ('path,label\n"a,ai\n', "line 2: unexpected end of data"),
        ("path,label\na,ai\nb,ai\n", "one label only"),
    ],
)
def test_bad_csv(text: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text)
    assert line in refused(path)


def test_folder(tmp_path: Path) -> None:
    """Sub-folders are sources; what is no audio or hidden is passed over."""
    for name in (
        "ai/suno/v4/b.MP3",
        "ai/a.flac",
        "real/fma/c.wav",
        "real/cover.jpg",
        "real/._d.wav",
        "real/.trash/e.wav",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    manifest = read_manifest(tmp_path)
    assert [(t.track_id, t.label, t.source, t.path) for t in manifest.tracks] == [
        ("ai/a.flac", "ai", "", tmp_path / "ai/a.flac"),
        ("ai/suno/v4/b.MP3", "ai", "suno", tmp_path / "ai/suno/v4/b.MP3"),
        ("real/fma/c.wav", "real", "fma", tmp_path / "real/fma/c.wav"),
    ]


def test_folder_without_labels(tmp_path: Path) -> None:
    assert "there is no folder 'ai' or 'real' in it" in refused(tmp_path)
    (tmp_path / "real").mkdir()
    assert "there are no tracks" in refused(tmp_path)


@pytest.mark.parametrize(
    ("splits", "judged"),
    [
        (["train", "test", "calibration", ""], "test"),
        (["", "train", "calibration"], ""),
        (["train"], "train"),
    ],
)
def test_judged_split(splits: list[str], judged: str) -> None:
    tracks = [LabelledTrack(split, None, "ai", split=split) for split in splits]
    assert judged_split(tracks) == judged
