"""Record terminal sessions for the documentation: what is typed, and what is seen.

    python -m tests.programs.session > docs/session.md

Each command runs for real in a terminal of 100 columns, with the bundled model. Its libraries
are made for it from the demo clips.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
from mediafile import MediaFile

import beetsplug.artifactnet
from tests.support.audio_files import Samples, encode
from tests.support.terminal import beet_in_terminal

DEMO = Path(__file__).parents[2] / "docs" / "demo"
RATE = 44_100
N_EXCERPTS, PER_ALBUM, EXCERPT_S = 64, 8, 6.0
INTRODUCTION = """\
# A session

What `beet` prints on a terminal, recorded with `python -m tests.programs.session`. The two
clips of the [quick start](../README.md#quick-start) are imported. 64 overlapping excerpts of
the human-made one and a damaged file are scored. From [deciding](#deciding-at-import) on
other libraries hold parts and mixtures of the two clips. The numbers show the form alone:
excerpts of one song say nothing about others.
"""
PARTS = (
    (
        "Importing",
        "One album of two clips. Flagged tracks are named, and a line sums the album up.",
        ("import -A incoming",),
    ),
    (
        "Scoring",
        "Files that came into the library without a score, one of them damaged.",
        (
            "-c ai-is-off.yaml import -qA old",
            "ai",
            "ai",
            "ls -f '$title: $ai_error' ai_error::.",
        ),
    ),
    (
        "Files outside the library",
        "Nothing is stored of them, whatever the model says.",
        ("ai incoming/", "ai incoming/ ai_verdict:ai", "ai artist:Misspelt"),
    ),
    (
        "Your own word",
        "It decides at once; other words are refused.",
        ("modify -y ai_override=humen title:Feelings", "modify -y ai_override=human re-synth"),
    ),
    (
        "Calibrating",
        "See [its page](bench.md#calibrating-on-your-own-library).",
        (
            "aicalibrate --real 'year:1..2019 ^title:Damaged'",
            "aicalibrate --fpr 0.05 --real 'year:1..2019 ^title:Damaged' --save",
            "aicalibrate --fpr 0.05 --real 'year:1..2019 ^title:Damaged' --save --yes -q",
            "ai",
            "aimodel show",
        ),
    ),
)
DECIDING = (
    (
        "Deciding at import",
        "With `import_action: ask`, see [its page](review.md#at-import). The albums hold parts "
        "of the\ntwo clips, one after the other, and mixtures.",
        ("import -A suspects",),
    ),
)
EXPLAINING = (
    (
        "Explaining",
        "The same albums in a new library, imported without a question. See\n"
        "[its page](explain.md).",
        (
            "import -qA suspects",
            "modify -y ai_override=human ai_override_note='my own tape loops' title:=Pause",
            "ai --explain title:=Pause",
            "ai --explain --numbers title:'then human'",
            "ai --explain -q album:Mixtures",
        ),
    ),
)
REVIEWING = (
    (
        "Reviewing",
        "The same in a third library. See [its page](review.md#reviewing). The player here is\n"
        "one that plays nothing.",
        ("import -qA suspects", "aireview", "aireview --undo"),
    ),
)
QUESTION, KEYS = "aBort?", "quit?"
ANSWERS = {
    "aicalibrate --fpr 0.05 --real 'year:1..2019 ^title:Damaged' --save": (("(y/n)", "n"),),
    "import -A suspects": ((QUESTION, "h"), (QUESTION, "f"), (QUESTION, "s")),
    "aireview": (
        *((KEYS, "p"), (KEYS, "a"), (KEYS, "h"), (KEYS, "u"), (KEYS, "a")),
        *((KEYS, "s"), (KEYS, "n"), ("Note", "I turned the knobs"), (KEYS, "h")),
        *((KEYS, "h"), (KEYS, "A"), ("cancel?", "a")),
    ),
}
"""Command -> what it asks, and what is typed then."""


def make_library(folder: Path) -> None:
    """Write the configuration and the files that are imported."""
    config = {
        "directory": str(folder / "music"),
        "library": str(folder / "library.db"),
        "plugins": ["artifactnet"],
        "create_backup_before_migrations": False,
        "artifactnet": {"threads": 2},
    }
    for name, auto in (("config.yaml", True), ("ai-is-off.yaml", False)):
        config["artifactnet"] = {"threads": 2, "auto": auto}
        (folder / name).write_text(json.dumps(config), encoding="utf-8")
    for name in ("human.ogg", "resynthesised.ogg"):
        (folder / "incoming").mkdir(exist_ok=True)
        _tag(Path(shutil.copy(DEMO / name, folder / "incoming")), album="Demo")
    samples, rate = soundfile.read(DEMO / "human.ogg", dtype="float32", always_2d=True)
    for number in range(N_EXCERPTS):
        start = number * (len(samples) - int(EXCERPT_S * rate)) // N_EXCERPTS
        album, track = divmod(number, PER_ALBUM)
        path = folder / "old" / f"{album + 1}" / f"{track + 1}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(path, samples[start : start + int(EXCERPT_S * rate)], rate)
        title = f"Excerpt {number + 1}"
        _tag(path, artist="Sectoid", album=f"Album {album + 1}", title=title, year=2007)
    damaged = folder / "old" / "1" / "9.flac"
    data = (folder / "old" / "1" / "8.flac").read_bytes()
    damaged.write_bytes(data[: len(data) // 3])
    _tag(damaged, title="Damaged", track=9)


def make_suspects(folder: Path) -> None:
    """Write the configuration and the albums that are decided on."""
    config = {
        "directory": str(folder / "music"),
        "library": str(folder / "library.db"),
        "plugins": ["artifactnet"],
        "create_backup_before_migrations": False,
        "artifactnet": {"threads": 1, "import_action": "ask"},
        # There is no loudspeaker.
        "play": {"command": "true"},
    }
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    for album, tracks in _suspects().items():
        for track, (title, samples) in enumerate(tracks.items(), 1):
            path = folder / "suspects" / album / f"{track}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            encode(path, samples, RATE)
            _tag(path, artist="Sectoid", album=album, title=title, track=track, year=2007)


def _suspects() -> dict[str, dict[str, Samples]]:
    """Return albums: of each its titles and their samples."""
    human, made = (
        soundfile.read(DEMO / f"{name}.ogg", dtype="float32", always_2d=True)[0][: 24 * RATE]
        for name in ("human", "resynthesised")
    )
    at = [second * RATE for second in range(25)]
    pause = np.concatenate([made[: at[12]], np.zeros_like(made[: at[4]]), human[at[16] :]])
    return {
        "Loops": {"Whole": made, "Start": made[: at[16]]},
        "Parts": {
            "Human": human,
            "Pause": pause,
            "Re-synthesised, then human": np.concatenate([made[: at[8]], human[at[8] :]]),
        },
        "Mixtures": {
            f"{tenths} tenths": (tenths / 10 * made + (1 - tenths / 10) * human).astype("f4")
            for tenths in (7, 5, 3)
        },
    }


def _tag(path: Path, **tags: object) -> None:
    file = MediaFile(path)
    file.update(tags)
    file.save()


def record(folder: Path, parts: Sequence[tuple[str, str, Sequence[str]]]) -> Iterator[str]:
    """Yield sections of the page."""
    for heading, text, commands in parts:
        yield f"## {heading}\n"
        if text:
            yield f"{text}\n"
        for command in commands:
            yield "\n".join(f"    {line}".rstrip() for line in _seen(folder, command)) + "\n"


def _seen(folder: Path, command: str) -> Iterator[str]:
    yield f"$ beet {command}"
    with beet_in_terminal(*shlex.split(command), columns=100) as terminal:
        for prompt, keys in ANSWERS.get(command, ()):
            terminal.answer(prompt, keys)
        terminal.end()
        seen = terminal.seen
    plain = seen.replace(str(folder), "~")
    plain = plain.replace(str(Path(beetsplug.artifactnet.__file__).parent), "...")
    bars = re.findall(r"\r(scoring [^\r\n]*)", plain)
    for line in plain.removesuffix("\n").split("\n"):
        # What was on the line before, a bar or its blanks, is overwritten.
        last = line.rpartition("\r")[2].rstrip()
        if last or not line:
            yield last
    if len(bars) > 10:
        yield ""
        yield f"(on the way: {bars[len(bars) // 2].rstrip()})"


def main() -> None:
    """Record everything."""
    print(INTRODUCTION)  # noqa: T201
    for make, parts in (
        (make_library, PARTS),
        (make_suspects, DECIDING),
        (make_suspects, EXPLAINING),
        (make_suspects, REVIEWING),
    ):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            os.environ["BEETSDIR"] = str(folder)
            os.environ["HOME"] = str(folder)
            os.chdir(folder)
            make(folder)
            for part in record(folder, parts):
                print(part)  # noqa: T201


if __name__ == "__main__":
    main()
