"""The module shown in the how-to is computed, listed and passes the check suite."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import marketprism.factors as package
from marketprism.factors import registry
from marketprism.testing.factors import check_factor

_PAGE = Path(__file__).parents[3] / "docs" / "howto" / "add-a-factor.md"


@pytest.mark.slow
def test_the_example_is_a_factor_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    (tmp_path / "largest.py").write_text(code)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    try:
        assert registry.factor("largest_trade").unit == "base"
        assert len(check_factor("largest_trade")) > 5
    finally:
        sys.modules.pop("marketprism.factors.largest", None)
        vars(package).pop("largest", None)
