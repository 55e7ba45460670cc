"""Index of the study: five pages and what each found."""

from __future__ import annotations

from collections.abc import Mapping

from marketprism.core.timebase import format_ns
from marketprism.pipelines.backtest_sections.words import FOOTER
from marketprism.pipelines.study_pages.parts import Context, assumptions
from marketprism.pipelines.texts import short_source
from marketprism.report.document import Document, Link, Links, Section, Verdict

__all__ = ["index_page"]

_ABOUT = {
    "symmetric": "Quotes at a fixed distance: P&L decomposition, inventory, adverse fills.",
    "optimal": "Avellaneda-Stoikov and GLFT with fitted parameters; risk against return.",
    "signals": "Quotes moved by one factor, five factors, a model; against none, with significance.",
    "inventory": "Limits, one-sided quoting, skew, dynamic risk aversion: what holds the position, and what it costs.",
    "competition": "Several makers in one queue: who earns the spread, alone and together, by latency.",
}


def index_page(pages: Mapping[str, Document], context: Context) -> Document:
    """Lay out the index."""
    first, last = (format_ns(ts)[:19].replace("T", " ") for ts in context.market.span())
    links = [
        Link(document.title, f"{name}.html", document.verdict.headline, _ABOUT[name], document.verdict.tone)
        for name, document in pages.items()
    ]
    return Document(
        title=f"Market making on {context.instrument.symbol}",
        subtitle=f"{short_source(context.source)} · {first} to {last} UTC",
        verdict=Verdict(
            "Five studies on the same events",
            [f"{document.title.partition(' on ')[0]}: {document.verdict.headline}." for document in pages.values()],
            "plain",
        ),
        cards=[],
        sections=[
            Section("pages", "The studies", "Each stands by itself; all saw the same events.", [Links(links)]),
            assumptions(context),
        ],
        footer=FOOTER,
    )
