"""The page holds everything, escapes what it is given, and needs no network."""

from __future__ import annotations

import re

from marketprism.report.document import Card, Document, Facts, Figure, Note, Section, Table, Verdict
from marketprism.report.page import render_page

_DOCUMENT = Document(
    title="BTC <b>",
    subtitle="a & b",
    verdict=Verdict("No signal", ["reason one", "reason two"], "warn"),
    cards=[Card("IC", "0.04", "0.01 to 0.07", "good")],
    sections=[
        Section(
            "one",
            "First",
            "What it says.",
            [
                Figure("<svg id='drawn'></svg>", "Drawing", "caption", wide=True),
                Table(["name", "x"], [[f"row {k}", str(k)] for k in range(5)], "Rows", text_columns=["name"], shown=2),
                Facts([("events", "12")]),
                Note("careful", "bad"),
            ],
        )
    ],
    footer="end",
)


def test_everything_given_is_on_the_page_and_escaped() -> None:
    html = render_page(_DOCUMENT)
    assert "BTC &lt;b&gt;" in html
    assert "<b>" not in html
    assert "<svg id='drawn'></svg>" in html
    for text in ("reason two", "row 4", "Show all 5", "careful", "0.01 to 0.07", "end"):
        assert text in html


def test_nothing_is_fetched() -> None:
    html = render_page(_DOCUMENT)
    assert not re.search(r'(src|href)="(?!#)', html)
    assert "@import" not in html
    assert "url(" not in html
    assert "<script" not in html
