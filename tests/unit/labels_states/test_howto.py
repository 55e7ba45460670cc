"""The how-to page runs and prints what it says."""

from __future__ import annotations

import doctest
from pathlib import Path

_PAGE = Path(__file__).parents[3] / "docs" / "howto" / "trend-states.md"


def test_page():
    result = doctest.testfile(str(_PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted >= 20
    assert result.failed == 0
