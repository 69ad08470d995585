"""Files with tags as generators write them, in every container's own way, by mutagen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mutagen
import mutagen.apev2
import mutagen.id3
import mutagen.mp4

from tests.support.audio_files import SAMPLE_RATES, encode, music

UUID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
SUNO_COMMENT = f"made with suno; created=2026-01-31T23:59:59Z; id={UUID}"
SUNO_URL = f"https://suno.com/song/{UUID}"
MUREKA = json.dumps({"Label": "1", "ContentProducer": "Mureka", "ProduceID": "1"})
GRAPH = json.dumps(
    {
        "3": {"class_type": "KSampler", "inputs": {"seed": 1}},
        "9": {"class_type": "SaveAudioMP3", "inputs": {"audio": ["3", 0]}},
    }
)
"""A ComfyUI prompt whose last node writes audio."""
CONTAINERS = ("mp3", "wav", "aiff", "m4a", "flac", "ogg", "opus", "wma", "wv")
"""Those that tags are written to, each in its own way."""

id3: Any = mutagen.id3
MP4FreeForm: Any = mutagen.mp4.MP4FreeForm
File: Any = mutagen.File
_COMMENTS = {"m4a": "\xa9cmt", "wma": "Description"}
_ARTISTS = {"m4a": "\xa9ART", "wma": "Author"}


def write_song(path: Path) -> Path:
    """Write a second of music without tags, and return the path."""
    return encode(path, music(1.0), SAMPLE_RATES.get(path.suffix[1:], 44_100))


def add_tag(path: Path, name: str, text: str) -> Path:
    """Add a tag of a free name: TXXX, a free-form atom, or the format's own pair."""
    file = _open(path)
    if isinstance(file.tags, id3.ID3):
        file.tags.add(id3.TXXX(encoding=3, desc=name, text=text))
    elif path.suffix == ".m4a":
        file.tags[f"----:com.apple.iTunes:{name}"] = MP4FreeForm(text.encode())
    else:
        file.tags[name] = text
    file.save()
    return path


def add_comment(path: Path, text: str) -> Path:
    """Add a comment as the format has it."""
    file = _open(path)
    if isinstance(file.tags, id3.ID3):
        file.tags.add(id3.COMM(encoding=3, lang="eng", desc="", text=text))
    else:
        file.tags[_COMMENTS.get(path.suffix[1:], "COMMENT")] = [text]
    file.save()
    return path


def add_artist(path: Path, text: str) -> Path:
    """Add an artist as the format has it."""
    file = _open(path)
    if isinstance(file.tags, id3.ID3):
        file.tags.add(id3.TPE1(encoding=3, text=text))
    else:
        file.tags[_ARTISTS.get(path.suffix[1:], "ARTIST")] = [text]
    file.save()
    return path


def add_frames(path: Path, *frames: object) -> Path:
    """Add ID3 frames to a file that has them in front, and return the path."""
    try:
        tags = id3.ID3(path)
    except id3.ID3NoHeaderError:
        tags = id3.ID3()
    for frame in frames:
        tags.add(frame)
    tags.save(path)
    return path


def _open(path: Path) -> Any:
    file = File(path)
    if file.tags is None:
        file.add_tags()
    return file
