"""A report as sections of text, tables and charts, and its two forms: Markdown and HTML.

File names, sources and generators come from strangers: Markdown is escaped here, HTML by
the templates.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from beetsplug.artifactnet.report.html import printable, render

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]#|~$])")
_HREF = f"{{{_XLINK}}}href"
_LOCAL_URL = re.compile(r"url\(#")

INK = "#15191e"
"""The colour of a chart's text and axes; the page puts its own text colour in its place."""


@dataclass(frozen=True)
class Table:
    """Rows of cells below one row of headings."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    """A sentence above the rows, or in their stead where there are none."""
    filtered_by: str = ""
    """Heading whose words a page offers as a filter. Such a table is a list with a row a
    track: a page sorts and filters it, Markdown leaves it out."""


@dataclass(frozen=True)
class Chart:
    """One drawing in the forms that the report needs."""

    name: str
    """File name without its suffix."""
    title: str
    """The content of the chart, in one sentence."""
    svg: bytes
    """Without a background."""
    png: bytes
    """On white."""

    @property
    def svg_on_white(self) -> bytes:
        """The SVG as a file of its own, which a dark viewer must not make unreadable."""
        ground = b'<rect width="100%" height="100%" fill="#ffffff"/>\n <defs>'
        return self.svg.replace(b"<defs>", ground, 1)


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, in this order."""

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[tuple[str, Chart], ...] = ()
    """Each with the path of its SVG file from the report's folder."""
    level: int = 2
    """2 or 3."""


def markdown(title: str, sections: Iterable[Section]) -> str:
    """Return a report as Markdown with the tables of GitHub's dialect."""
    blocks = [f"# {_md(title)}"]
    for section in sections:
        if section.tables and all(table.filtered_by for table in section.tables):
            continue
        blocks.append(f"{'#' * section.level} {_md(section.title)}")
        blocks += [_md(paragraph) for paragraph in section.paragraphs]
        for table in section.tables:
            if not table.filtered_by:
                blocks += _md_table(table)
        blocks += [f"![{_md(chart.title)}](<{path}>)" for path, chart in section.charts]
    return "\n\n".join(blocks) + "\n"


def _md(text: str) -> str:
    escaped = html.escape(printable(text), quote=False)
    return _MARKDOWN_SPECIAL.sub(r"\\\1", escaped)


def _md_table(table: Table) -> Iterator[str]:
    """Yield a caption and a table, where there is such."""
    if table.caption:
        yield _md(table.caption)
    if not table.rows:
        return
    rule = ("---", *("--:" for _ in table.head[1:]))
    rows = [table.head, *table.rows]
    lines = ["| " + " | ".join(_md(cell) for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "|".join(rule) + "|")
    yield "\n".join(lines)


def page(title: str, sections: Sequence[Section]) -> str:
    """Return a report as one HTML file that asks for nothing else.

    Raises:
        MissingPackageError: jinja2 is not installed.
    """
    return render(
        "document.html",
        title,
        has_style_attributes=any(section.charts for section in sections),
        sections=sections,
        inline=_inline,
    )


def _inline(chart: Chart, path: str) -> str:
    """Return a chart's SVG for use inside a page beside others.

    Its ids get the chart's path before them, as all ids of a page must differ. Its ink becomes
    the page's text colour, so that it can be read on dark as on light.
    """
    prefix = re.sub(r"[^a-z0-9]+", "-", path.lower())
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    # The SVG was drawn by this program a moment ago: it holds no entities.
    root = ElementTree.fromstring(chart.svg)  # noqa: S314
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}metadata":
                parent.remove(child)
        _rewrite(parent, prefix)
    width = root.get("width", "").removesuffix("pt")
    root.attrib.pop("height", None)
    root.set("width", "100%")
    root.set("style", f"max-width: {float(width):.0f}pt")
    root.set("role", "img")
    root.set("aria-label", printable(chart.title))
    return ElementTree.tostring(root, encoding="unicode")


def _rewrite(element: ElementTree.Element, prefix: str) -> None:
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{prefix}-{value}")
        elif key == _HREF and value.startswith("#"):
            element.set(key, f"#{prefix}-{value[1:]}")
        else:
            local = _LOCAL_URL.sub(f"url(#{prefix}-", value)
            element.set(key, local.replace(INK, "currentColor"))
