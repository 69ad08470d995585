"""Claims that stand in tags: which texts under which names count, and how."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from beetsplug.artifactnet.results import Claim

UNKNOWN = "unknown"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SUNO_URL = re.compile(rf"https?://(?:www\.)?suno\.(?:com|ai)/song/{_UUID}/?", re.IGNORECASE)
_SUNO_COMMENT = re.compile(
    rf"made with suno(?: studio)?; *created=[^;]{{1,64}}; *id={_UUID};?", re.IGNORECASE
)
_GENERATOR_NAMES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (generator, re.compile(pattern, re.IGNORECASE))
    for generator, pattern in (
        ("suno", r"\bsuno\b"),
        ("google", r"\bgoogle\b"),
        ("elevenlabs", r"\beleven ?labs\b"),
        ("mureka", r"\bmureka\b"),
        # The code of MiniMax in the labels of its downloads.
        ("minimax", r"\bminimax\b|^HUABAB"),
        ("udio", r"\budio\b"),
    )
)
_PLATFORM = re.compile(r"(udio|suno)(?: v?\d+(?:\.\d+)*)?", re.IGNORECASE)
_AI_GENERATED = "aigenerated"
"""``AI_GENERATED``, ``AI-GENERATED`` and ``AIGENERATED``."""
_TRUE = frozenset({"1", "true", "yes", "y"})
_LONGEST_SHOWN = 200
_LONGEST_GENERATOR = 40


def claims_in(texts: Iterable[tuple[str, str]]) -> Iterator[Claim]:
    """Yield the claims among tags, given as names in lower case and texts.

    Names of songs, artists other than a platform's own, and free comments claim nothing.
    """
    for name, text in texts:
        rule = _RULES.get(_AI_GENERATED if _squeezed(name) == _AI_GENERATED else name)
        claim = rule(text) if rule is not None and text else None
        if claim is not None:
            yield claim


def _squeezed(name: str) -> str:
    return re.sub(r"[-_ ]", "", name)


def named_generator(*texts: str) -> str:
    """Return the first known generator that one of the texts names, empty for none."""
    for text in texts:
        for generator, pattern in _GENERATOR_NAMES:
            if pattern.search(text):
                return generator
    return ""


def slug(text: str) -> str:
    """Return a name as a word that can be stored: lower case, without colon and comma."""
    word = re.sub(r"[^\w.]+", "-", text.casefold())[:_LONGEST_GENERATOR].strip("-._")
    return word or UNKNOWN


def shown(text: str) -> str:
    """Return a file's own words, shortened."""
    return text[:_LONGEST_SHOWN]


def _suno_url(text: str) -> Claim | None:
    return Claim("suno", "url", shown(text)) if _SUNO_URL.fullmatch(text) else None


def _suno_comment(text: str) -> Claim | None:
    return Claim("suno", "comment", shown(text)) if _SUNO_COMMENT.fullmatch(text) else None


_LABEL_SOURCES = {"1": "aigc", "2": "aigc-2", "3": "aigc-3"}
"""GB 45438-2025: 1 is generated, 2 may be, 3 is suspected to be."""


def _aigc(text: str) -> Claim | None:
    values = _lower_keys(_json_object(text))
    if isinstance(values.get("aigc"), dict):
        values = _lower_keys(values["aigc"])
    label, producer = values.get("label"), values.get("contentproducer")
    source = _LABEL_SOURCES.get(str(label).strip())
    if source is None or isinstance(label, bool):
        return None
    name = producer if isinstance(producer, str) else ""
    return Claim(named_generator(name) or slug(name), source, shown(text))


def _ai_generated(text: str) -> Claim | None:
    if text.casefold() not in _TRUE:
        return None
    return Claim(UNKNOWN, "ai_generated", f"AI_GENERATED={shown(text)}")


def _comfyui(text: str) -> Claim | None:
    """Recognise a graph of nodes, as API prompt or as workflow, with one of audio."""
    graph = _json_object(text)
    nodes = graph.get("nodes")
    listed = nodes if isinstance(nodes, list) else list(graph.values())
    kinds = [
        str(node.get("class_type") or node.get("type"))
        for node in listed
        if isinstance(node, dict) and ("class_type" in node or isinstance(nodes, list))
    ]
    audio = [kind for kind in kinds if "audio" in kind.casefold()]
    return Claim("comfyui", "prompt", shown(", ".join(audio))) if audio else None


def _artist(text: str) -> Claim | None:
    match = _PLATFORM.fullmatch(text)
    return Claim(match[1].casefold(), "artist", shown(text)) if match else None


def _encoder(text: str) -> Claim | None:
    match = _PLATFORM.fullmatch(text)
    return Claim(match[1].casefold(), "encoder", shown(text)) if match else None


_RULES: Mapping[str, Callable[[str], Claim | None]] = {
    "woas": _suno_url,
    "comment": _suno_comment,
    "aigc": _aigc,
    _AI_GENERATED: _ai_generated,
    "prompt": _comfyui,
    "workflow": _comfyui,
    "artist": _artist,
    "encoder": _encoder,
}
"""Name of a tag -> what its text claims."""


def _json_object(text: str) -> dict[str, Any]:
    """Return a JSON object, an empty one for any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _lower_keys(values: dict[str, Any]) -> dict[str, Any]:
    return {key.casefold(): value for key, value in values.items()}
