"""Sections to a page: one HTML file that opens offline, or Markdown. The report and a model's card are such pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from study import markdown
from study.prose import parts
from study.section import Section

HTML: Final = "page.html.j2"
MARKDOWN: Final = "page.md.j2"


@dataclass(frozen=True)
class Page:
    """A page's head and foot. `title` is the browser's, `lead` stands below the name."""

    name: str
    title: str
    lead: str
    foot: str


def render(template: str, page: Page, shown: Sequence[Section]) -> str:
    """A template of this package, filled. HTML is escaped everywhere; Markdown text is made safe by its filters."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("study", "templates"),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "cell": markdown.cell,
        "line": markdown.line,
        "sentence": markdown.sentence,
        "table": markdown.table,
        "parts": parts,
    }
    there = [part for part in shown if part.sentences or part.exhibits]
    return environment.get_template(template).render(page=page, sections=there)
