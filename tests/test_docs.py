"""Links between the pages of the documentation lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_PAGES = sorted(
    [_ROOT / "README.md", *(_ROOT / "docs").rglob("*.md"), *(_ROOT / "beetsplug").rglob("*.md")]
)


def _anchors(page: Path) -> Iterator[str]:
    """Yield the names by which a page's headings are linked to, as GitHub makes them."""
    for heading in re.findall(r"^#+ +(.+?) *$", page.read_text(), re.MULTILINE):
        yield re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", page.read_text())
    for name, anchor in links:
        target = page.parent / name if name else page
        assert target.exists(), name
        assert not anchor or anchor in _anchors(target), f"{name}#{anchor}"


def test_every_page_is_linked_from_the_readme_or_the_plugins_page() -> None:
    text = (_ROOT / "README.md").read_text() + (_ROOT / "docs" / "index.md").read_text()
    names = {Path(name).name for name in re.findall(r"\]\(([^)#\s]+)", text)}
    assert {page.name for page in (_ROOT / "docs").glob("*.md")} <= names
