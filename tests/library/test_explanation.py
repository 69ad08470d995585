"""What speaks for and against a track, in words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beetsplug.artifactnet.library import (
    ITEM_TYPES,
    Explanation,
    Judge,
    Row,
    explain,
    format_timeline,
)
from beetsplug.artifactnet.results import ReleaseTags, SegmentScore, Thresholds
from tests.support.beets_library import ArtifactNetHelper

JUDGE = Judge("finecomb-3.0+2", Thresholds(ai=0.5, unsure=0.3))
NOON = 1_700_000_000.0


def timeline(*probabilities: float) -> str:
    return format_timeline(SegmentScore(39.3 * n, p) for n, p in enumerate(probabilities))


def told(values: Mapping[str, object], release: ReleaseTags | None = None) -> Explanation:
    return explain(Row(7, "/x.flac", values), JUDGE, release)


def texts(values: Mapping[str, object], release: ReleaseTags | None = None) -> list[str]:
    return [f"{s.speaks_for}: {s.text}" for s in told(values, release).sentences]


SCORED: dict[str, object] = {
    "ai_score": 0.97,
    "ai_verdict": "ai",
    "ai_model": "finecomb-3.0+2",
    "ai_timeline": timeline(0.91, 0.95, 0.97, 0.99, 0.93, 0.2, 0.1),
}


class TestSentences:
    def test_all_that_there_is(self) -> None:
        """What decides comes first, and each names its side."""
        values = SCORED | {
            "ai_evidence": "comb 86.13 Hz 6/7 3.2; standing 4.10; silence at 117.9",
            "ai_provenance": "suno:comment,elevenlabs:c2pa-composite,udio:artist",
            "ai_override": "real",
            "ai_override_date": NOON,
            "ai_override_note": "my own demo",
        }
        assert texts(values, ReleaseTags(original_year=1994, year=2004)) == [
            "human: your own word: human, since 2023-11-14: my own demo",
            "ai: the file declares: Suno (its comment)",
            "ai: the file names AI, which does not decide: ElevenLabs (a C2PA manifest of a "
            "work edited with AI)",
            "None: a mere hint in the tags: Udio (the artist's name)",
            "ai: a comb of lines 86.1 Hz apart in 6 of 7 segments",
            "ai: the song's score 0.97 reaches the threshold 0.5; 5 of 7 segments reach it "
            "by themselves: 0:00 to 2:37",
            "None: nothing to judge at 1:57 (silence)",
            "human: first released 1994, before 2023",
        ]

    @pytest.mark.parametrize(
        ("score", "probabilities", "expected"),
        [
            (0.1, (0.1, 0.1, 0.1), "human: the song's score 0.10 is below the threshold 0.5; "
             "no segment reaches it"),
            (0.4, (0.4,), "None: the song's score 0.40 is between 0.3 and the threshold 0.5"),
            (0.5, (), "ai: the song's score 0.50 reaches the threshold 0.5"),
            (0.9, (0.9,) * 9, "ai: the song's score 0.90 reaches the threshold 0.5; "
             "all segments reach it"),
            (0.3, (0.9,) * 6 + (0.1,) * 6, "None: the song's score 0.30 is between 0.3 and the "
             "threshold 0.5; 6 of 12 segments reach it by themselves: 0:00 to 3:16"),
            (0.6, (0.9, 0.1, 0.9, 0.9, 0.1), "ai: the song's score 0.60 reaches the threshold "
             "0.5; 3 of 5 segments reach it by themselves: 0:00, 1:18 to 1:57"),
            (0.3, (0.9, 0.1) * 6, "None: the song's score 0.30 is between 0.3 and the "
             "threshold 0.5; 6 of 12 segments reach it by themselves"),
            (0.7, (0.9, 0.2), "ai: the song's score 0.70 reaches the threshold 0.5; "
             "1 of 2 segments reaches it by itself: 0:00"),
        ],
    )  # fmt: skip
    def test_the_score(
        self, score: float, probabilities: tuple[float, ...], expected: str
    ) -> None:
        """How it stands to both thresholds, and how the segments do."""
        values = SCORED | {"ai_score": score, "ai_timeline": timeline(*probabilities)}
        assert texts(values)[0] == expected

    @pytest.mark.parametrize(
        ("score", "probabilities", "expected"),
        [
            (0.2, (0.1, 0.9, 0.9, 0.5, 0.1), ["ai: 0:39 to 1:57 reaches the threshold 0.5 by "
             "itself, 3 segments in a row"]),
            (0.4, (0.9, 0.9, 0.9, 0.1, 0.6, 0.6, 0.6, 0.6), [
                "ai: 0:00 to 1:18 reaches the threshold 0.5 by itself, 3 segments in a row",
                "ai: 2:37 to 4:35 reaches the threshold 0.5 by itself, 4 segments in a row",
            ]),
            (0.2, (0.9, 0.9, 0.1, 0.9, 0.4), []),
            (0.5, (0.1, 0.9, 0.9, 0.9, 0.1), []),  # the whole reaches it: no more to say
        ],
    )  # fmt: skip
    def test_a_part_that_reaches_the_threshold(
        self, score: float, probabilities: tuple[float, ...], expected: list[str]
    ) -> None:
        """Three segments in a row speak for ``ai`` where the song as a whole does not."""
        values = SCORED | {"ai_score": score, "ai_timeline": timeline(*probabilities)}
        assert texts(values)[1:] == expected

    def test_another_model(self) -> None:
        """Its score is named, and is held against no threshold of this model."""
        assert texts(SCORED | {"ai_model": "finecomb-2.1+2"}) == [
            "None: finecomb-2.1 gave the score 0.97; of finecomb-3.0 there is none "
            "(beet ai --outdated)"
        ]

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ({}, ["None: it is not scored yet (beet ai id:7)"]),
            (
                {"ai_error": "too_short: 0.5 s, at least 1.0 s are needed"},
                ["None: it could not be scored: too short (0.5 s, at least 1.0 s are needed)"],
            ),
            ({"ai_error": "silent:"}, ["None: it could not be scored: silent"]),
            (
                SCORED | {"ai_timeline": "", "ai_error": "missing: no file"},
                [
                    "ai: the song's score 0.97 reaches the threshold 0.5",
                    "None: it could not be scored: missing (no file); the score is of an "
                    "earlier time",
                ],
            ),
            (
                {"ai_provenance": "suno:url", "ai_verdict": "ai"},
                [
                    "ai: the file declares: Suno (a link to its page there)",
                    "None: it is not scored yet (beet ai id:7)",
                ],
            ),
            (
                {"ai_override": "ai"},
                ["ai: your own word: ai", "None: it is not scored yet (beet ai id:7)"],
            ),
        ],
    )
    def test_tracks_without_a_score(
        self, values: dict[str, object], expected: list[str]
    ) -> None:
        assert texts(values) == expected

    @pytest.mark.parametrize(
        ("evidence", "expected"),
        [
            ("", []),
            ("no comb", ["no comb of lines at equal distances stands out"]),
            (
                "comb 100.00 Hz 0/7 0.3",
                ["a comb of lines 100.0 Hz apart, too weak to show in a single segment"],
            ),
            ("comb 100.00 Hz 1/1 0.3", ["a comb of lines 100.0 Hz apart in 1 of 1 segment"]),
            (
                "; ".join(f"silence at {40 * n}.0" for n in range(7)),
                [
                    "nothing to judge at 0:00, 0:40, 1:20, 2:00, 2:40 and 2 more (silence)",
                ],
            ),
            ("too little at 61.0", ["nothing to judge at 1:01 (too little)"]),
            ("<b>\x1b[2J", []),
        ],
    )
    def test_evidence(self, evidence: str, expected: list[str]) -> None:
        values = SCORED | {"ai_evidence": evidence, "ai_timeline": ""}
        sentences = [s.text for s in told(values).sentences]
        assert [
            text for text in sentences if not text.startswith("the song's score")
        ] == expected

    @pytest.mark.parametrize(
        ("release", "expected"),
        [
            (ReleaseTags(1994, 2024), ["first released 1994, before 2023"]),
            (ReleaseTags(0, 2019), ["released 2019, before 2023"]),
            (ReleaseTags(2024, 1994), []),
            (ReleaseTags(0, 0), []),
            (ReleaseTags(0, 12), []),
        ],
    )
    def test_the_year(self, release: ReleaseTags, expected: list[str]) -> None:
        """It speaks for a human before 2023, and says nothing else."""
        found = told(SCORED, release).sentences
        assert [s.text for s in found if "released" in s.text] == expected

    def test_declarations_that_are_not_followed(self) -> None:
        judge = Judge(JUDGE.model, JUDGE.thresholds, follows_declarations=False)
        row = Row(1, "/x", {"ai_provenance": "suno:url"})
        assert explain(row, judge).sentences[0].text == (
            "the file declares: Suno (a link to its page there) (not followed: declared is no)"
        )


def test_the_line() -> None:
    """The two most telling sentences, or the one there is."""
    values = SCORED | {"ai_evidence": "comb 86.13 Hz 7/7 3.2", "ai_timeline": ""}
    assert told(values).line == (
        "a comb of lines 86.1 Hz apart in 7 of 7 segments; the song's score 0.97 reaches the "
        "threshold 0.5"
    )
    assert told({}).line == "it is not scored yet (beet ai id:7)"


def test_the_numbers() -> None:
    values = SCORED | {
        "ai_evidence": "comb 86.13 Hz 6/7 3.2; standing 4.10; cnn -0.30",
        "ai_timeline": "0.0:0.9713 39.3:0.9402",
    }
    assert told(values).numbers == (
        "score 0.9700, thresholds: ai 0.5, unsure 0.3",
        "model finecomb-3.0+2",
        "segments: 0:00 0.9713, 0:39 0.9402",
        "branches (logits of the song): standing 4.10, cnn -0.30",
        "comb: 86.13 Hz, lines 3.2 dB above their neighbours, in 6 of 7 segments",
    )
    assert told({}).numbers == ()


VALUES = st.one_of(st.text(), st.floats(), st.integers(), st.booleans())


@given(st.dictionaries(st.sampled_from(sorted(ITEM_TYPES)), VALUES))
def test_any_stored_value_is_explained(values: dict[str, object]) -> None:
    """Whatever stands in the fields, there is something to say, and no error."""
    explanation = told(values)
    assert explanation.sentences
    assert explanation.line


@pytest.mark.parametrize("date", [float("nan"), float("inf"), -1e18])
def test_a_date_that_cannot_be(date: float) -> None:
    values = {"ai_override": "ai", "ai_override_date": date}
    assert told(values).sentences[0].text == "your own word: ai, since ?"


class TestItems(ArtifactNetHelper):
    def test_a_track_of_the_library(self) -> None:
        """Its own year speaks."""
        item = self.add_track("One", "real", original_year=1971)
        self.run_command("artifactnet", "-q")
        item = self.get("One")
        judge = Judge(str(item.ai_model), Thresholds(0.5, 0.3))
        found = explain(item, judge).sentences
        assert [s.speaks_for for s in found] == ["human", "human"]
        assert found[1].text == "first released 1971, before 2023"
