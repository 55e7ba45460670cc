"""Render a document to one self-contained HTML file: no script, no network, the same bytes each time."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from marketprism.report.document import Document

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["render_page"]


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("marketprism.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["zip"] = lambda left, right: zip(left, right, strict=True)
    return environment.get_template("page.html.j2")


def render_page(document: Document) -> str:
    """Return the HTML of ``document``; figures are inlined, everything else is escaped."""
    return _template().render(doc=document)
