"""Every pair of options of every command: both do what they say, or one line refuses them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from beets.exceptions import UserError

from tests.support.beets_library import ArtifactNetHelper, our_tags, write_track
from tests.support.tagged_files import MUREKA, add_tag

READING = {"--declared-only", "--forget-provenance"}
SCORING = {"--force", "--outdated", "--retry-failed", "--write"}
REFUSED = {
    *(frozenset({reading, scoring}) for reading in READING for scoring in SCORING),
    frozenset({"--json", "--quiet"}),
    frozenset({"--write", "--nowrite"}),
    frozenset({"--lists", "--quiet"}),
}
"""Pairs of ``beet ai`` that contradict each other, whatever the arguments."""
OPTIONS = (
    *("--album", "--force", "--outdated", "--retry-failed", "--pretend", "--quiet", "--json"),
    *("--declared-only", "--forget-provenance", "--threads=1", "--write", "--nowrite"),
    "--lists",
)


class TestScore(ArtifactNetHelper):
    """A library of tracks in every state, and a file outside of it."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.lists = self.folder / "artists.json"
        artist = {"name": "Somebody", "musicbrainz": "a74b1b7f-71a5-4011-9441-d0b5e4122711"}
        self.lists.write_text(json.dumps([artist]), encoding="utf-8")
        self.outside = add_tag(write_track(self.folder / "outside.flac"), "AIGC", MUREKA)
        items = [
            self.add_track(title, mb_artistid=artist["musicbrainz"])
            for title in ("Scored", "Outdated", "Failed", "Due")
        ]
        self.lib.add_album(items)
        self.states: dict[str, dict[str, object]] = {
            "Scored": {},
            "Outdated": {"ai_model": "another-1.0"},
            "Failed": {"ai_error": "unreadable: before"},
            "Due": {},
        }
        self.run_command("ai", "-q", "title:Scored", ",", "title:Outdated")
        self.before = {item.id: dict(item.items()) for item in self.lib.items()}

    def reset(self) -> None:
        """Bring the library back to where it was, its files as well."""
        for title, values in self.states.items():
            item = self.get(title)
            for name in [name for name in item if name.startswith("ai_")]:
                del item[name]
            kept = self.before[item.id] if title in {"Scored", "Outdated"} else {}
            item.update({key: value for key, value in kept.items() if key.startswith("ai_")})
            item.update({**values, "ai_provenance": "unknown:ai_generated"})
            item.store()

    def outcome(self, options: tuple[str, ...], *args: str) -> str | list[str]:
        """Return what a call prints, or the line that refuses it."""
        words = [f"{o}={self.lists}" if o == "--lists" else o for o in options]
        try:
            return self.run_lines("ai", *words, *args)
        except UserError as error:
            assert str(error).startswith("artifactnet: ")
            assert "\n" not in str(error)
            return str(error)

    def check(self, options: tuple[str, ...], lines: list[str]) -> None:
        """Check that each option did what it says, beside the others."""
        given = set(options)
        done = {title: self.get(title) for title in self.states}
        is_reading, is_pretended = bool(given & READING), "--pretend" in given
        wanted = {"Due"}
        if not is_reading:
            wanted |= {"Outdated"} if given & {"--outdated", "--force"} else set()
            wanted |= {"Failed"} if given & {"--retry-failed", "--force"} else set()
            wanted |= {"Scored"} if "--force" in given else set()
        scored = set() if is_reading or is_pretended else wanted
        for title, item in done.items():
            is_anew = item.get("ai_scored") != self.before[item.id].get("ai_scored")
            assert is_anew == (title in scored), title
            is_kept = "unknown:ai_generated" in str(item.get("ai_provenance"))
            assert is_kept == (is_pretended or "--forget-provenance" not in given)
            is_tagged = bool(our_tags(Path(item.filepath)))
            assert is_tagged == ("--write" in given and not is_pretended and title in done)
        if "--json" in given:
            objects = [json.loads(line) for line in lines]
            names = {value["listed"] and value["listed"]["name"] for value in objects}
            assert names == {"Somebody" if "--lists" in given else None}
            assert len(objects) == (len(wanted) if is_pretended and not is_reading else 4)
        elif "--quiet" in given:
            assert len(lines) == 1
        elif is_pretended and not is_reading:
            assert len(lines) == len(wanted) + 1
