"""Playing a place of a track with the user's own player."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import beets
import confuse
from beets.util import open_anything

from beetsplug.artifactnet.commands.interrupts import interrupts
from beetsplug.artifactnet.engine import Engine
from beetsplug.artifactnet.errors import ArtifactNetError, FileError

LEAD_S = 3.0
"""How much earlier than the segment in question it begins, seconds."""
_HINT = "`play: command:` in beets' configuration names your player"
_PLAYLIST, _ARGS = "$playlist", "$args"


class PlayError(ArtifactNetError):
    """A place cannot be played."""


@dataclass(frozen=True)
class Place:
    """What is to be cut out of a file."""

    path: Path
    start_s: float
    """Where the segment in question begins."""
    target: Path
    """The WAV file to write."""


def cut_excerpt(place: Place) -> tuple[float, float] | str:
    """Write some seconds around a segment as WAV, which any player plays.

    Returns:
        Where they begin and end, seconds; or why there are none.

    Raises:
        OSError, MemoryError: The machine is in trouble.
    """
    # In a worker: `beet` itself loads no decoder.
    from beetsplug.artifactnet.audio.clips import CLIP_RATE, excerpt
    from beetsplug.artifactnet.audio.encode import Encoding, encode

    try:
        samples, start_s = excerpt(place.path, place.start_s - LEAD_S)
    except FileError as error:
        return str(error)
    encode(place.target, samples, CLIP_RATE, Encoding("wav", ".wav", "pcm_s16le", "s16"))
    return start_s, start_s + len(samples) / CLIP_RATE


class Player:
    """Cuts excerpts in a worker, and hands them to the player."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._n_played = 0

    def close(self) -> None:
        """Remove the excerpts; a player may have gone on with one until now."""
        if self._folder is not None:
            self._folder.cleanup()

    def cut(self, path: Path, start_s: float) -> tuple[Path, tuple[float, float]]:
        """Return a WAV file of a segment's surroundings, and where they begin and end.

        Raises:
            PlayError: The file cannot be read there.
            MachineError: No worker can work.
        """
        from beetsplug.artifactnet.workers import run_each

        place = Place(path, start_s, self._target())
        found = run_each(
            cut_excerpt,
            [place],
            self._engine.workers(),
            time_limit_s=self._engine.settings.time_limit_s,
        )
        ((_, _, result),) = found
        if not isinstance(result, tuple):
            raise PlayError(f"nothing to play: {result}")
        return place.target, result

    def play(self, excerpt: Path) -> None:
        """Play a file; Ctrl-C ends the player alone.

        Raises:
            PlayError: There is no player, or it fails.
        """
        command = player_command(excerpt)
        try:
            with interrupts.left_to_others():
                status = subprocess.call(command)  # noqa: S603 - the user's own command
        except (OSError, ValueError) as error:
            raise PlayError(f"{command[0]} does not start: {error}; {_HINT}") from error
        if status > 0:
            raise PlayError(f"{command[0]} ended with status {status}; {_HINT}")

    def _target(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="aireview-")
        self._n_played += 1
        return Path(self._folder.name) / f"excerpt-{self._n_played}.wav"


def player_command(file: Path) -> list[str]:
    """Return what plays a file: the command of beets' `play` plugin, or the platform's.

    ``$args`` is left out, and ``$playlist`` is the file; without it the file comes last.

    Raises:
        PlayError: The command cannot be understood.
    """
    # The section is there whether or not the plugin is enabled.
    try:
        command = beets.config["play"]["command"].get()
    except confuse.ConfigError:
        command = None
    try:
        words = shlex.split(str(command or open_anything()))
    except ValueError as error:
        raise PlayError(f"play.command is {command!r}: {error}") from None
    words = [word for word in words if word != _ARGS]
    if not any(_PLAYLIST in word for word in words):
        return [*words, str(file)]
    return [word.replace(_PLAYLIST, str(file)) for word in words]
