"""Venue sequencing: one pure state machine a module, its rules quoted and numbered.

A machine is a few int64 fields (:mod:`marketprism.book.sequencing.machine`) and two functions: ``accept_snapshot``
and ``on_update``. Sockets, files and the book itself stay outside.
"""

from __future__ import annotations

from marketprism.book.sequencing.rules import RULES, Rule

__all__ = ["RULES", "Rule"]
