"""The peer's Python, and the helpers of this folder by their file."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

collect_ignore = ["peer_driver.py"]
"""Imports the peer, which our own Python does not have."""
_ROOT = Path(__file__).resolve().parents[3]


def _load(name: str, file: Path) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def helpers() -> dict[str, ModuleType]:
    """Modules ``cases``, ``play`` and ``ours``."""
    folder = Path(__file__).parent
    return {name: _load(f"backtest_parity_{name}", folder / f"{name}.py") for name in ("cases", "play", "ours")}


@pytest.fixture(scope="session")
def peer() -> Path:
    """Python of hftbacktest's environment, made where it is missing.

    Skips where it cannot be made; fails where ``MARKETPRISM_PEERS_REQUIRED`` is set.
    """
    environment = _load("peer_environment", _ROOT / "scripts" / "peer_environment.py")
    try:
        return environment.peer_python("hftbacktest")
    except environment.PeerMissingError as missing:
        if os.environ.get("MARKETPRISM_PEERS_REQUIRED"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))
