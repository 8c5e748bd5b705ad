"""Pages: one self-contained HTML file with text, tables and pictures.

It works offline, opens from disk, is readable on a phone, in the dark and on paper; it has no scripts, and tells the
browser to load nothing. Everything that is not a picture is escaped.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from hepnn.staging import staged

__all__ = ["Link", "Page", "PageTable", "Section", "Verdict", "write_page"]


class Link(NamedTuple):
    """An entry of a table that leads to the section of that title."""

    section: str


class Verdict(NamedTuple):
    """An entry of a table that says passed or missed."""

    passed: bool


class PageTable(NamedTuple):
    """A table.

    Attributes:
        title: a line above it; none if empty.
        columns: names.
        rows: one entry a column each: numbers, texts, `Link` or `Verdict`.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Section(NamedTuple):
    """A part of a page.

    Attributes:
        title: its heading, and where links lead.
        text: Markdown, without HTML in it.
        tables: below them.
        pictures: PNG or SVG files by their caption.
    """

    title: str
    text: str = ""
    tables: Sequence[PageTable] = ()
    pictures: Mapping[str, Path] = {}


class Page(NamedTuple):
    """What a page holds.

    Attributes:
        title: its heading.
        lead: a paragraph below it.
        tables: an overview.
        sections: in order.
    """

    title: str
    lead: str
    tables: Sequence[PageTable]
    sections: Sequence[Section]


def write_page(page: Page, path: str | os.PathLike[str]) -> Path:
    """Returns the HTML file that ``page`` was written to; an earlier one is replaced.

    Raises:
        OutputError: it cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("hepnn"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"cell": _cell, "markdown": _markdown}
    environment.tests |= {
        "link": lambda entry: isinstance(entry, Link),
        "verdict": lambda entry: isinstance(entry, Verdict),
    }
    sections = [section._replace(pictures=_embedded(section.pictures)) for section in page.sections]
    text = environment.get_template("page.html").render(page=page._replace(sections=sections))
    with staged(path, overwrite=True) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)


def _embedded(pictures: Mapping[str, Path]) -> dict[str, Any]:
    """Pictures as addresses that hold their bytes."""
    kinds = {".png": "image/png", ".svg": "image/svg+xml"}
    return {
        caption: f"data:{kinds[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
        for caption, path in pictures.items()
    }


def _markdown(text: str) -> Markup:
    """Markdown as HTML; what looks like HTML in it is escaped, and only harmless links are kept."""
    return Markup(MarkdownIt("commonmark", {"html": False}).disable("image").render(text))


def _cell(entry: Any) -> str:
    """A table's entry as text: numbers with as many digits as one can read."""
    if isinstance(entry, bool) or not isinstance(entry, int | float):
        return str(entry)
    return f"{entry:,}" if isinstance(entry, int) else f"{entry:.4g}"
