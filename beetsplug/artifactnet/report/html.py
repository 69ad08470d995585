"""Pages of one file each: no server, no network, style and script inline.

Titles, tags and file names come from strangers. The templates escape every value, and the
page's Content-Security-Policy lets nothing run but the script whose hash it names.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beetsplug.artifactnet.errors import MissingPackageError

if TYPE_CHECKING:
    from jinja2 import Environment

GENERATOR = "beets-artifactnet"
"""Name of the program in a page's head, by which a page of ours is known."""
_TEMPLATES = Path(__file__).with_name("templates")


def printable(text: str) -> str:
    """Return a text without line breaks and characters that no document may hold."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def render(template: str, title: str, **values: Any) -> str:
    """Return a page."""
    style, script = (_inline(name) for name in ("style.css", "page.js"))
    policy = {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "img-src": "data:",
        "media-src": "file: data:",
        "style-src": _hash(style),
        "script-src": _hash(script),
    }
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            generator=GENERATOR,
            policy="; ".join(f"{name} {value}" for name, value in policy.items()),
            style=style,
            script=script,
            **values,
        )
    )


def _inline(name: str) -> str:
    """Return a style sheet or script between line breaks, as it stands in the page."""
    return f"\n{(_TEMPLATES / name).read_text(encoding='utf-8')}"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{b64encode(digest).decode('ascii')}'"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingPackageError("jinja2", "jinja2") from error
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Markup is a text of another type, and ours.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
