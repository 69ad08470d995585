"""What declarations do to an item: fields, order of verdicts, and what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from beets.library import Item

from beetsplug.artifactnet import library
from beetsplug.artifactnet.library import Judge
from beetsplug.artifactnet.results import (
    STRENGTHS,
    Claim,
    Outcome,
    SegmentScore,
    Strength,
    Thresholds,
    TrackResult,
    TrackScore,
    format_claims,
    parse_claims,
)
from tests.support.beets_library import ArtifactNetHelper

JUDGE = Judge("loudness-1.0", Thresholds(ai=0.5, unsure=0.3))
DEAF = Judge("loudness-1.0", JUDGE.thresholds, follows_declarations=False)
OTHER = Judge("other-2.0", Thresholds(ai=0.1, unsure=0.1))
STRONG = "suno:url"
WEAK = "mureka:aigc-2,comfyui:prompt,udio:artist"


def scored(probability: float, words: str = "") -> TrackResult:
    score = TrackScore(probability, (SegmentScore(0.0, probability),), 4.0, JUDGE.model)
    return TrackResult(Path("x.flac"), Outcome.SCORED, score, claims=parse_claims(words))


def test_words() -> None:
    """Claims are stored as words, each once, and other words are left out when read."""
    claims = (Claim("suno", "url", "a"), Claim("suno", "url", "b"), Claim("x", "aigc-3"))
    assert format_claims(claims) == "suno:url,x:aigc-3"
    assert parse_claims(" suno:url,junk,, x:aigc-3 ,:") == (claims[0], claims[2])
    assert parse_claims("x:of-another-version")[0].strength is Strength.HINT


@pytest.mark.parametrize("source", STRENGTHS)
def test_only_strong_claims_declare(source: str) -> None:
    """Whether a stored word decides follows from its source alone."""
    item = Item(ai_provenance=f"somebody:{source}")
    assert library.is_declared(item) == (STRENGTHS[source] is Strength.STRONG)


class TestVerdict(ArtifactNetHelper):
    def item_with(self, result: TrackResult, judge: Judge = JUDGE, override: str = "") -> Item:
        # The plugin follows what is stored, with its own options.
        self.configure(declared=judge.follows_declarations)
        item = self.add_track("Song")
        if override:
            item.ai_override = override
        library.store_result(item, result, judge)
        return self.get("Song")

    @pytest.mark.parametrize(
        ("words", "override", "judge", "verdict", "reason"),
        [
            (STRONG, "", JUDGE, "ai", "declared"),
            (STRONG, "real", JUDGE, "real", "override"),
            (STRONG, "ai", JUDGE, "ai", "override"),
            (STRONG, "", DEAF, "real", "score"),
            (WEAK, "", JUDGE, "real", "score"),
            (f"{WEAK},{STRONG}", "", JUDGE, "ai", "declared"),
            ("", "", JUDGE, "real", "score"),
            ("", "ai", JUDGE, "ai", "override"),
        ],
    )
    def test_order(
        self, words: str, override: str, judge: Judge, verdict: str, reason: str
    ) -> None:
        """The user's word comes before a declaration, that before the score, untouched."""
        item = self.item_with(scored(0.1, words), judge, override)
        assert (item.ai_verdict, item.ai_reason) == (verdict, reason)
        assert item.ai_score == 0.1
        assert item.get("ai_provenance", "") == words
        assert ("ai_declared" in item) == (STRONG in words)
        assert not library.redecide(item, judge)

    def test_declared_is_yes_or_absent(self) -> None:
        """The flag is found by query, printed as yes, and absent where nothing is declared."""
        self.item_with(scored(0.1, STRONG))
        self.add_track("Other")
        library.store_result(self.get("Other"), scored(0.1), JUDGE)
        fields = "$title <$ai_declared>"
        assert self.run_lines("ls", "-f", fields, "ai_declared:yes") == ["Song <yes>"]
        assert self.run_lines("ls", "-f", "$title", "^ai_declared:yes") == ["Other"]
        assert self.rows(self.get("Song"))["ai_declared"][1] in {1, "1"}
        assert "ai_declared" not in self.rows(self.get("Other"))

    @pytest.mark.parametrize("outcome", [Outcome.UNREADABLE, Outcome.SILENT])
    def test_a_file_that_cannot_be_scored_is_still_declared(self, outcome: Outcome) -> None:
        """A failed file has no score, and the verdict of its declaration."""
        result = TrackResult(Path("x"), outcome, detail="reason", claims=parse_claims(STRONG))
        item = self.item_with(result)
        assert self.rows(item).keys() == {
            *("ai_error", "ai_provenance", "ai_declared", "ai_verdict", "ai_reason")
        }
        assert (item.ai_verdict, item.ai_reason) == ("ai", "declared")

    def test_the_option_is_followed_both_ways(self) -> None:
        """Switched off, the stored score decides; switched on again, the declaration."""
        item = self.item_with(scored(0.1, STRONG))
        assert library.redecide(item, DEAF)
        assert (item.ai_verdict, item.ai_reason) == ("real", "score")
        assert item.ai_declared
        assert library.redecide(item, JUDGE)
        assert (item.ai_verdict, item.ai_reason) == ("ai", "declared")

    def test_a_declaration_that_is_forgotten(self) -> None:
        """Without it the score decides, whatever model gave it."""
        item = self.item_with(scored(0.2, STRONG))
        library.forget_claims(item)
        assert library.redecide(item, OTHER)
        assert (item.ai_verdict, item.ai_reason) == ("ai", "score")
        assert "ai_declared" not in item
        assert "ai_provenance" not in item

    def test_a_score_of_another_model_keeps_its_verdict(self) -> None:
        """These thresholds are not its own, and the reason stays as it was."""
        item = self.item_with(scored(0.2))
        assert not library.redecide(item, OTHER)
        assert (item.ai_verdict, item.ai_reason) == ("real", "score")

    def test_an_override_that_is_removed(self) -> None:
        """The declaration decides again, at once."""
        item = self.item_with(scored(0.1, STRONG), override="real")
        self.run_command("modify", "-y", "ai_override!", "title:Song")
        item = self.get("Song")
        assert (item.ai_verdict, item.ai_reason) == ("ai", "declared")

    def test_albums_count_declared_tracks(self) -> None:
        """A declared track is flagged on its album."""
        album = self.add_album_of("real", "real")
        first, second = album.items()
        library.store_result(first, scored(0.1, STRONG), JUDGE)
        library.store_result(second, scored(0.1), JUDGE)
        assert self.get_album().ai_album_flagged == 1
