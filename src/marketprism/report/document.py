"""What a report is made of: sections of figures, tables and notes, independent of how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "Card",
    "Document",
    "Facts",
    "Figure",
    "Item",
    "Link",
    "Links",
    "Note",
    "Section",
    "Table",
    "Tone",
    "Verdict",
]

Tone = Literal["good", "warn", "bad", "plain"]


@dataclass(frozen=True, slots=True)
class Figure:
    """An SVG drawing with a caption that says what to see in it.

    ``wide`` figures take the whole width of the page, others stand two abreast.
    """

    svg: str
    title: str
    caption: str = ""
    wide: bool = False
    kind: Literal["figure"] = "figure"


@dataclass(frozen=True, slots=True)
class Table:
    """A table; cells are text ready to show, columns are numeric unless named in ``text_columns``.

    ``shown`` rows stand open, the rest behind a "show all" line (0: all open). Tables of more than five columns, and
    ``wide`` ones, take the whole width of the page.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    caption: str = ""
    text_columns: Sequence[str] = ()
    shown: int = 0
    wide: bool = False
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class Facts:
    """Pairs of name and value."""

    pairs: Sequence[tuple[str, str]]
    title: str = ""
    wide: bool = False
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence that must not be missed."""

    text: str
    tone: Tone = "plain"
    kind: Literal["note"] = "note"


@dataclass(frozen=True, slots=True)
class Link:
    """A page beside this one: its title, file name, what it found, and what it is about."""

    title: str
    href: str
    found: str
    about: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Links:
    """Pages beside this one."""

    entries: Sequence[Link]
    kind: Literal["links"] = "links"


Item = Figure | Table | Facts | Note | Links


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of the page."""

    slug: str
    title: str
    intro: str
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Card:
    """One number in the head of the page, with its interval or unit beneath."""

    label: str
    value: str
    detail: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer in one line, and why."""

    headline: str
    reasons: Sequence[str]
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    subtitle: str
    verdict: Verdict
    cards: Sequence[Card]
    sections: Sequence[Section]
    footer: str = ""
    language: str = field(default="en")
