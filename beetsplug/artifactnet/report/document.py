"""A report as sections of text, tables and charts, and its two forms: Markdown and HTML.

File names, sources and generators come from strangers: Markdown is escaped here, HTML by
the templates.
"""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from beetsplug.artifactnet.report.html import printable, render

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]#|~$])")


NONE = "\u2013"
"""Stands in a cell where there is no value."""


def number(value: float | None) -> str:
    """Return a number for a cell, to four digits."""
    return NONE if value is None else f"{value:.4f}"


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
    """On white, as the other form: a dark page or viewer must not make it unreadable."""
    png: bytes

    @property
    def url(self) -> str:
        """The SVG as an address that holds all of it."""
        return f"data:image/svg+xml;base64,{b64encode(self.svg).decode('ascii')}"


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
    """Return a report as one HTML file that asks for nothing else."""
    return render("document.html", title, sections=sections)
