"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_DATA = Path(os.environ.get("MARKETPRISM_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True, scope="session")
def own_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the trials of tests out of the user's run ledger."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MARKETPRISM_LEDGER", str(tmp_path_factory.mktemp("ledger") / "ledger.db"))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real market data; tests that need it skip where it is absent."""
    if not _DATA.is_dir():
        pytest.skip(f"real market data are absent: {_DATA} (set MARKETPRISM_DATA to the folder that holds them)")
    return _DATA
