"""Every pair of options of every command: both do what they say, or one line refuses them."""

from __future__ import annotations

import json
import os
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from beets.exceptions import UserError
from beets.plugins import find_plugins

from tests.support.beets_library import ArtifactNetHelper, our_tags, write_track
from tests.support.labelled_audio import BenchHelper
from tests.support.tagged_files import MUREKA, add_tag

MUSICBRAINZ = "a74b1b7f-71a5-4011-9441-d0b5e4122711"
READING = {"--declared-only", "--forget-provenance"}
OPTIONS = (
    *("--album", "--force", "--outdated", "--retry-failed", "--pretend", "--quiet", "--json"),
    *("--declared-only", "--forget-provenance", "--threads", "--write", "--nowrite", "--lists"),
    "--explain",
    "--numbers",
)
CONTRADICTIONS: tuple[set[str], ...] = (
    *({a, b} for a in READING for b in ("--force", "--outdated", "--retry-failed", "--write")),
    *({"--json", "--quiet"}, {"--write", "--nowrite"}, {"--lists", "--quiet"}),
    *({"--explain", other} for other in ("--force", "--outdated", "--retry-failed")),
    *({"--explain", other} for other in ("--pretend", "--write", "--lists", *READING)),
    *({"--numbers", other} for other in OPTIONS if other != "--explain"),
)
MODEL_OPTIONS = {
    "--card": "=none.json",
    "--from": "=none",
    "--base-url": "=https://localhost",
    "--accept-licence": "",
    "--force": "",
    "--timeout": "=1",
    "--yes": "",
}
ACTIONS = {"--timeout": {"install", "check"}, "--yes": {"remove"}}
MODEL_CONTRADICTIONS = (
    *({"--card", "--from"}, {"--card", "--base-url"}, {"--from", "--base-url"}),
    *({"--timeout", "--card"}, {"--timeout", "--from"}),
)
JUDGING_OPTIONS = {
    "--audio-root": "=.",
    "--real": "=title:x",
    "--out": "=out",
    "--model": "=none",
    "--threads": "=1",
    "--quiet": "",
    "--ai": "=title:x",
    "--transport": "",
    "--fpr": "=0.3",
    "--save": "",
    "--yes": "",
}


@pytest.mark.slow
class TestScoring(ArtifactNetHelper):
    """A library with a track in each state, and a file outside of it."""

    def setup_beets(self) -> None:
        super().setup_beets()
        self.lists = self.folder / "artists.json"
        artist = {"name": "Somebody", "musicbrainz": MUSICBRAINZ}
        self.lists.write_text(json.dumps([artist]), encoding="utf-8")
        self.outside = write_track(self.folder / "out" / "x.flac", mb_artistid=MUSICBRAINZ)
        add_tag(self.outside, "AIGC", MUREKA)
        titles = ("Scored", "Outdated", "Failed", "Due")
        self.lib.add_album([self.add_track(t, mb_artistid=MUSICBRAINZ) for t in titles])
        self.run_command("ai", "-q", "title:Scored", ",", "title:Outdated")
        claim = {"ai_provenance": "unknown:ai_generated"}
        for title, values in (
            ("Scored", claim),
            ("Outdated", {**claim, "ai_model": "another-1.0"}),
            ("Failed", {**claim, "ai_error": "unreadable: before"}),
            ("Due", claim),
        ):
            item = self.get(title)
            item.update(values)
            item.store()
        self.saved = self.stored()
        paths = [Path(item.filepath) for item in self.lib.items()]
        self.files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}

    def stored(self) -> list[tuple[Any, ...]]:
        with self.lib.transaction() as transaction:
            return [tuple(row) for row in transaction.query("SELECT * FROM item_attributes")]

    def reset(self) -> None:
        """Bring back the library and its files."""
        with self.lib.transaction() as transaction:
            transaction.mutate("DELETE FROM item_attributes")
            for row in self.saved:
                marks = ", ".join("?" * len(row))
                transaction.mutate(f"INSERT INTO item_attributes VALUES ({marks})", row)
        for path, (data, time_ns) in self.files.items():
            if path.stat().st_mtime_ns != time_ns:
                path.write_bytes(data)
                os.utime(path, ns=(time_ns, time_ns))

    def lines_of(self, pair: tuple[str, ...], *args: str) -> list[str]:
        """Return the lines of a call with two options."""
        self.configure(write="--nowrite" in pair)
        values = {"--lists": f"--lists={self.lists}", "--threads": "--threads=1"}
        return self.run_lines("ai", *(values.get(name, name) for name in pair), *args)

    def refuse(self, pair: tuple[str, ...], *args: str) -> None:
        """Check that a call with two options ends with one line, which names one of them."""
        with pytest.raises(UserError) as caught:
            self.lines_of(pair, *args)
        assert str(caught.value).startswith("artifactnet: "), pair
        assert "\n" not in str(caught.value), pair
        assert any(name in str(caught.value) for name in pair), pair

    def test_tracks_of_the_library(self) -> None:
        """What is scored, stored, written and printed is what both options say."""
        for pair in combinations(OPTIONS, 2):
            lists_nothing = "--lists" in pair and "--json" not in pair
            if set(pair) in CONTRADICTIONS or lists_nothing:
                self.refuse(pair, "album:Album")
                assert self.stored() == self.saved
            elif "--explain" in pair:
                lines = self.lines_of(pair, "album:Album")
                assert len(lines) >= len(list(self.lib.items())), pair
                assert "--json" not in pair or all(map(json.loads, lines)), pair
                assert self.stored() == self.saved
            else:
                self.check(pair, self.lines_of(pair, "album:Album"))
                self.reset()

    def check(self, pair: tuple[str, ...], lines: list[str]) -> None:
        reads, pretends = bool(READING & set(pair)), "--pretend" in pair
        wanted = {
            "Due",
            *(["Outdated"] if {"--outdated", "--force"} & set(pair) else []),
            *(["Failed"] if {"--retry-failed", "--force"} & set(pair) else []),
            *(["Scored"] if "--force" in pair else []),
        }
        scored = set() if reads or pretends else wanted
        before, now = (
            {item_id: value for _, item_id, key, value in rows if key == "ai_scored"}
            for rows in (self.saved, self.stored())
        )
        for item in self.lib.items():
            is_scored = before.get(item.id) != now.get(item.id)
            assert is_scored == (item.title in scored), (pair, item.title)
            is_forgotten = not item.get("ai_provenance")
            assert is_forgotten == ("--forget-provenance" in pair and not pretends), pair
            is_tagged = bool(our_tags(Path(item.filepath)))
            writes = "--write" in pair and not pretends
            assert is_tagged == (writes and item.title in {*scored, "Scored"}), pair
        if "--json" in pair:
            listed = [json.loads(line)["listed"] for line in lines]
            assert len(listed) == (1 if pretends else 4), pair
            assert all(bool(found) == ("--lists" in pair) for found in listed), pair
        elif "--quiet" in pair or reads:
            assert len(lines) == 1, pair
        else:
            assert len(lines) == 1 + len(wanted), pair
            assert ("would be scored" in lines[-1]) == pretends
            n_to_write = "the tags of 1 other written" in lines[-1]
            assert n_to_write == (set(pair) == {"--write", "--pretend"}), pair

    def test_files_outside(self) -> None:
        """Nothing is stored or written of them, so what would be is refused."""
        data = self.outside.read_bytes()
        for pair in combinations(OPTIONS[1:], 2):
            refused = [*CONTRADICTIONS, {"--pretend", "--lists"}]
            if set(pair) in refused or {"--write", "--forget-provenance"} & set(pair):
                self.refuse(pair, str(self.outside))
            else:
                self.check_outside(pair, self.lines_of(pair, str(self.outside)))
            assert self.outside.read_bytes() == data
            assert self.stored() == self.saved

    def check_outside(self, pair: tuple[str, ...], lines: list[str]) -> None:
        reads, pretends = bool(READING & set(pair)), "--pretend" in pair
        if "--explain" in pair:
            assert str(self.outside) in lines[0], pair
            assert "--json" not in pair or all(map(json.loads, lines)), pair
        elif "--json" in pair:
            (value,) = map(json.loads, lines)
            assert (value["score"] is None) == (reads or pretends), pair
            assert bool(value["listed"]) == ("--lists" in pair), pair
            assert value["claims"], pair
        elif "--quiet" in pair or (reads and pretends):
            assert len(lines) == 1, pair
        else:
            assert str(self.outside) in lines[0], pair
            assert any("listed by" in line for line in lines) == ("--lists" in pair), pair
            assert ("would be scored" in lines[-1]) == pretends, pair
            assert ("1 file read" in lines[-1]) == reads, pair

    def test_all_are_here(self) -> None:
        """An option that is new finds its way into these tests."""
        assert set(OPTIONS) == options_of("artifactnet")


class TestModels(ArtifactNetHelper):
    def failure(self, *args: str) -> str:
        """Return what ends a call with these arguments: none of them can succeed."""
        with pytest.raises(UserError) as caught:
            self.run_command("aimodel", *args)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("action", ["list", "show", "install", "remove", "check"])
    def test_an_option_with_every_action(self, action: str) -> None:
        """Where it has no effect the line says where it has."""
        for name, value in MODEL_OPTIONS.items():
            if action not in ACTIONS.get(name, {"install"}):
                message = self.failure(action, name + value)
                assert message.startswith(f"artifactnet: {name} goes with "), message

    def test_pairs(self) -> None:
        """Two that contradict each other are refused before anything else is looked at."""
        for pair in combinations(sorted(MODEL_OPTIONS.keys() - {"--yes"}), 2):
            words = [name + MODEL_OPTIONS[name] for name in pair]
            message = self.failure("install", "none.onnx", *words)
            assert ("exclude each other" in message) == (set(pair) in MODEL_CONTRADICTIONS)

    def test_all_are_here(self) -> None:
        assert MODEL_OPTIONS.keys() == options_of("aimodel")


class TestJudging(BenchHelper):
    """``aibench`` and ``aicalibrate``: the pairs that need no run to be refused."""

    @pytest.mark.parametrize("command", ["aibench", "aicalibrate"])
    def test_pairs(self, command: str) -> None:
        """With a manifest and without: what the input cannot have is refused by name."""
        names = sorted(options_of(command))
        assert set(names) <= JUDGING_OPTIONS.keys()
        for pair in combinations(names, 2):
            options = [name + JUDGING_OPTIONS[name] for name in pair]
            for args in ([], ["none.csv"]):
                with pytest.raises(UserError) as caught:
                    self.run_command(command, *options, *args)
                is_refused = self.is_contradiction(command, set(pair), bool(args))
                end = str(caught.value).removeprefix("artifactnet: ")
                # What is not refused goes on to what is not there.
                words = ("give ", "--audio-root goes", "--yes goes")
                assert end.startswith(words) == is_refused, (pair, args, end)

    @staticmethod
    def is_contradiction(command: str, pair: set[str], has_manifest: bool) -> bool:
        if has_manifest:
            return bool(pair & {"--real", "--ai"}) or ("--yes" in pair and "--save" not in pair)
        has_input = pair == {"--ai", "--real"} if command == "aibench" else "--real" in pair
        needs_more = "--audio-root" in pair or ("--yes" in pair and "--save" not in pair)
        return not has_input or needs_more


def options_of(command: str) -> set[str]:
    """Return the long names of a command's options."""
    found = [c for plugin in find_plugins() for c in plugin.commands() if c.name == command]
    (parser,) = (each.parser for each in found)
    names = {
        option._long_opts[0] for option in parser.option_list if option.help != "SUPPRESSHELP"
    }
    return names - {"--help"}
