"""Public names are there, load on demand, and stand in the reference."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

_PAGE = Path(__file__).parents[3] / "docs" / "reference" / "api.md"


@pytest.mark.parametrize("package", ["backtest", "strategies"])
def test_public_names_exist_and_are_listed(package: str) -> None:
    module = importlib.import_module(f"marketprism.{package}")
    text = _PAGE.read_text()
    assert [name for name in module.__all__ if getattr(module, name, None) is None or f"`{name}`" not in text] == []
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing
