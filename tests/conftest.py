"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_DATA = Path(os.environ.get("MARKETPRISM_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real market data; tests that need it skip where it is absent."""
    if not _DATA.is_dir():
        pytest.skip(f"real market data are absent: {_DATA} (set MARKETPRISM_DATA to the folder that holds them)")
    return _DATA
