"""Record terminal sessions for the documentation: what is typed, and what is seen.

    python -m tests.programs.session > docs/session.md

Each command runs for real in a terminal of 100 columns, with the bundled model. Its library is
made for it from the demo clips.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import soundfile
from mediafile import MediaFile

import beetsplug.artifactnet
from tests.support.audio_files import encode
from tests.support.terminal import run_in_terminal

DEMO = Path(__file__).parents[2] / "docs" / "demo"
ANSWER = "n\n"
"""What is typed where a command asks."""
N_EXCERPTS, PER_ALBUM, EXCERPT_S = 64, 8, 6.0
INTRODUCTION = """\
# A session

What `beet` prints on a terminal, recorded with `python -m tests.programs.session`. The two
clips of the [quick start](../README.md#quick-start) are imported. 64 overlapping excerpts of
the human-made one and a damaged file are scored. The numbers show the form alone: excerpts of
one song say nothing about others.
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


def _tag(path: Path, **tags: object) -> None:
    file = MediaFile(path)
    file.update(tags)
    file.save()


def record(folder: Path) -> Iterator[str]:
    """Yield the page, part by part."""
    yield INTRODUCTION
    for heading, text, commands in PARTS:
        yield f"## {heading}\n"
        if text:
            yield f"{text}\n"
        for command in commands:
            yield "\n".join(f"    {line}" for line in _seen(folder, command)) + "\n"


def _seen(folder: Path, command: str) -> Iterator[str]:
    answer = ANSWER if command.endswith("--save") else ""
    _, seen = run_in_terminal(answer, *shlex.split(command), columns=100)
    yield f"$ beet {command}"
    if answer:
        # It was typed ahead, and echoed at once.
        seen = seen.removeprefix(answer).replace("(y/n) ", f"(y/n) {answer}")
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", seen).replace(str(folder), "~")
    plain = plain.replace(str(Path(beetsplug.artifactnet.__file__).parent), "...")
    bars = re.findall(r"\r(scoring [^\r\n]*)", plain)
    for line in plain.split("\n"):
        # What was on the line before, a bar or its blanks, is overwritten.
        last = line.rpartition("\r")[2].rstrip()
        if last:
            yield last
    if len(bars) > 10:
        yield ""
        yield f"(on the way: {bars[len(bars) // 2].rstrip()})"


def main() -> None:
    """Record everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        os.environ["BEETSDIR"] = str(folder)
        os.environ["HOME"] = str(folder)
        os.chdir(folder)
        make_library(folder)
        for part in record(folder):
            print(part)  # noqa: T201


if __name__ == "__main__":
    main()
