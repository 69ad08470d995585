"""A report as sections of text, tables and charts, and its two forms: Markdown and HTML.

File names, sources and generators come from strangers: every text is escaped here, and
nowhere else.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

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


@dataclass(frozen=True)
class Chart:
    """One drawing in the forms that the report needs."""

    name: str
    """File name without its suffix."""
    title: str
    """What there is to see, in one sentence."""
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


def printable(text: str) -> str:
    """Return a text without line breaks and characters that no document may hold."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def markdown(title: str, sections: Iterable[Section]) -> str:
    """Return a report as Markdown with the tables of GitHub's dialect."""
    blocks = [f"# {_md(title)}"]
    for section in sections:
        blocks.append(f"{'#' * section.level} {_md(section.title)}")
        blocks += [_md(paragraph) for paragraph in section.paragraphs]
        blocks += [_md_table(table) for table in section.tables]
        blocks += [f"![{_md(chart.title)}](<{path}>)" for path, chart in section.charts]
    return "\n\n".join(blocks) + "\n"


def _md(text: str) -> str:
    escaped = html.escape(printable(text), quote=False)
    return _MARKDOWN_SPECIAL.sub(r"\\\1", escaped)


def _md_table(table: Table) -> str:
    rule = ("---", *("--:" for _ in table.head[1:]))
    rows = [table.head, *table.rows]
    lines = ["| " + " | ".join(_md(cell) for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "|".join(rule) + "|")
    return "\n".join(lines)


def page(title: str, sections: Sequence[Section]) -> str:
    """Return a report as one HTML file that asks for nothing else and runs no script."""
    body = "\n".join(_html_section(section) for section in sections)
    name = _html(title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">\n"
        f'<link rel="icon" href="data:,">\n<title>{name}</title>\n'
        f"<style>\n{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{name}</h1>\n{body}\n"
        "</main>\n</body>\n</html>\n"
    )


def _html(text: str) -> str:
    return html.escape(printable(text))


def _html_section(section: Section) -> str:
    lines = [f"<h{section.level}>{_html(section.title)}</h{section.level}>"]
    lines += [f"<p>{_html(paragraph)}</p>" for paragraph in section.paragraphs]
    lines += [_html_table(table, section.title) for table in section.tables]
    lines += [
        f"<figure>{_inline(chart, path)}<figcaption>{_html(chart.title)}</figcaption></figure>"
        for path, chart in section.charts
    ]
    return "\n".join(lines)


def _html_table(table: Table, title: str) -> str:
    head = "".join(f'<th scope="col">{_html(cell)}</th>' for cell in table.head)
    rows = "\n".join(
        f'<tr><th scope="row">{_html(row[0])}</th>'
        + "".join(f"<td>{_html(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in table.rows
    )
    # A wide table scrolls in its own box, which a keyboard must be able to reach.
    return (
        f'<div class="table" role="region" aria-label="{_html(title)}" tabindex="0">'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _inline(chart: Chart, path: str) -> str:
    """Return a chart's SVG for use inside a page beside others.

    Its ids get the chart's path before them, as all ids of a page must differ, and its
    ink becomes the page's text colour, so that it can be read on dark as on light.
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


_STYLE = """\
:root { color-scheme: light dark; --ink: #15191e; --soft: #58606a; --line: #d5dae0;
  --ground: #ffffff; --band: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --soft: #a3abb5; --line: #39414b; --ground: #14171b;
    --band: #1c2127; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
p { margin: .5rem 0; max-width: 45rem; overflow-wrap: anywhere; }
.table { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line);
  text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 7rem; max-width: 22rem; }
thead th { color: var(--soft); font-weight: 600; }
tbody th { font-weight: 400; }
tbody tr:hover { background: var(--band); }
figure { margin: 1.25rem 0; }
figure svg { display: block; height: auto; }
figcaption { color: var(--soft); font-size: .85rem; margin-top: .25rem; max-width: 45rem;
  overflow-wrap: anywhere; }
"""
