"""Adding a factor is one small module and nothing else."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

import marketprism.factors as package
from marketprism.core.errors import ConfigError
from marketprism.factors import registry
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.testing.factors import FACTOR_CHECKS, CheckError, check_factor
from marketprism.testing.tapes import market_tape

LARGEST_TRADE = '''
"""The largest trade of a bucket."""

import numpy as np
from numba import njit

from marketprism.factors.base import Factor, Family
from marketprism.factors.marks import AFTER, BEFORE, RESET, TRADE


@njit
def _kernel(rows, top, depth_price, depth_quantity, marks, clock, buckets, largest, out):
    k = 0
    for i in range(len(marks)):
        if marks[i] & BEFORE:
            out[k, 0] = largest[0]
            largest[0] = np.nan
            k += 1
        if marks[i] & RESET:
            largest[0] = np.nan
        if marks[i] & TRADE and not largest[0] > rows[i].quantity:
            largest[0] = rows[i].quantity
        if marks[i] & AFTER:
            out[k, 0] = largest[0]
            largest[0] = np.nan
            k += 1


FAMILY = Family(
    name="largest",
    factors=lambda setup: (
        Factor(
            name="largest_trade", unit="base", formula="max q", description="Largest trade.", inputs=("trades",),
            null="there was no trade", mirror="even", quantity_power=1,
        ),
    ),
    state=lambda setup: {"largest": np.full(1, np.nan)},
    kernel=_kernel,
    wants=TRADE,
)
'''


@pytest.fixture
def new_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)

    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    before = set(sys.modules)
    yield write
    for name in set(sys.modules) - before:
        if name.startswith("marketprism.factors."):
            del sys.modules[name]
            delattr(package, name.rsplit(".", 1)[1]) if hasattr(package, name.rsplit(".", 1)[1]) else None


def test_a_new_module_is_computed_listed_and_checked(new_module) -> None:
    with pytest.raises(ConfigError, match="largest_trade"):
        registry.factor("largest_trade")
    new_module("largest", LARGEST_TRADE)
    assert registry.factor("largest_trade").family == "largest"
    assert "largest_trade" in [item.name for item in registry.factors()]
    assert registry.family_of("largest_trade").name == "largest"
    block = market_tape(400)
    engine = FactorEngine(EngineConfig(), instrument=block.instrument)
    rows = pl.concat([engine.push(block), engine.flush()])
    assert rows["largest_trade"].max() == rows.filter(pl.col("trades") > 0)["largest_trade"].max() > 0
    assert check_factor("largest_trade", block) == tuple(FACTOR_CHECKS)


def test_entry_points(monkeypatch: pytest.MonkeyPatch, new_module) -> None:
    family = replace(registry.families()["level1"], name="elsewhere")
    entries = [SimpleNamespace(name="x", value="somewhere:FAMILY", load=lambda: family)]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)
    assert registry.families()["elsewhere"] is family
    entries[0].load = lambda: importlib.metadata  # a module without FAMILY
    with pytest.raises(ConfigError, match="no factor family"):
        registry.families()


def test_names_clash(new_module) -> None:
    new_module("clash", LARGEST_TRADE.replace('name="largest"', 'name="flow"'))
    with pytest.raises(ConfigError, match="two factor families are called flow"):
        registry.families()


@pytest.mark.parametrize("taken", ["ofi", "volume"])
def test_factor_names_clash(new_module, taken: str) -> None:
    new_module("largest", LARGEST_TRADE.replace("largest_trade", taken))
    with pytest.raises(ConfigError, match=f"factor {taken} "):
        registry.factors()


def test_unknown_names_are_told() -> None:
    with pytest.raises(ConfigError, match="did you mean 'level1'"):
        registry.select(("levl1",))
    with pytest.raises(ConfigError, match="did you mean 'queue_imbalance'"):
        registry.factor("queue_imbalanc")
    with pytest.raises(ConfigError, match="not computed"):
        registry.factors(("level1",), {"flow": {}})
    with pytest.raises(ConfigError, match="no key 'bukets'"):
        registry.factors(None, {"flow": {"bukets": (1,)}})


def test_parameters_change_names() -> None:
    names = [item.name for item in registry.factors(("returns",), {"returns": {"momentum_s": [0.25, 90, 120]}})]
    assert {"momentum_250ms", "momentum_90s", "momentum_2m"} <= set(names)
    assert "momentum_5m" not in names


def test_depth_levels_decide_what_there_is() -> None:
    for levels, wanted in ((0, 0), (4, 4), (5, 5 + 11), (10, 6 + 22), (20, 6 + 33)):
        found = registry.factors(("depth", "depth_flow"), None, levels)
        assert len(found) == wanted + (6 if levels else 0)


def test_hash_follows_code_and_definitions(new_module) -> None:
    new_module("largest", LARGEST_TRADE)
    first = registry.factor_hash(("largest",))
    assert first == registry.factor_hash(("largest",)) != registry.factor_hash(("level1",))
    tokens = registry._significant_tokens
    source = 'def f(x):\n    """Doc."""\n    # why\n    return x + 1\n'
    assert (
        tokens(source) == tokens("def f(x):\n\n    return x + 1  # what\n") != tokens("def f(x):\n    return x + 2\n")
    )
    assert tokens("if x:\n    y = 1\nz = 2\n") != tokens("if x:\n    y = 1\n    z = 2\n")
    assert registry.factor_hash(("flow",)) != registry.factor_hash(("flow",), {"flow": {"trades": [20]}})


BROKEN = {
    "chunk_invariance": ("    k = 0\n", "    k = 0\n    largest[0] = np.nan\n"),
    "no_look_ahead": ("largest[0] = rows[i].quantity", "largest[0] = rows[-1].quantity"),
    "prefix": ("largest[0] = rows[i].quantity", "largest[0] = rows[min(i + 40, len(rows) - 1)].quantity"),
    "no_memory_across_gaps": (
        "        if marks[i] & RESET:\n            largest[0] = np.nan\n",
        "        if marks[i] & RESET:\n            largest[1] += 1\n        largest[0] += 0 * largest[1]\n",
    ),
    "finite": ("largest[0] = rows[i].quantity", "largest[0] = np.inf"),
    "alive": ("largest[0] = rows[i].quantity", "largest[0] = 1.0"),
    "mirror": ("not largest[0] > rows[i].quantity", "rows[i].side > 0"),
    "scale": ("largest[0] = rows[i].quantity", "largest[0] = rows[i].quantity + 1"),
    "definition": ('formula="max q"', 'formula=""'),
    "nulls": ('inputs=("trades",)', 'inputs=("trades", "quotes")'),
}


@pytest.mark.parametrize("check", BROKEN)
def test_each_check_catches_its_defect(new_module, check: str) -> None:
    old, new = BROKEN[check]
    text = LARGEST_TRADE.replace("np.full(1, np.nan)", "np.array([np.nan, 0.0])")
    if check == "no_memory_across_gaps":
        old, new = "largest[0] = rows[i].quantity", "largest[1] += 1\n            largest[0] = largest[1]"
    assert old in text
    new_module("largest", text.replace(old, new))
    with pytest.raises(CheckError, match="largest_trade"):
        check_factor("largest_trade", market_tape(400), checks=[check])


def test_state_outside_the_state_arrays_is_caught(new_module) -> None:
    text = LARGEST_TRADE.replace("@njit\n", "MEMORY = np.zeros(1)\n\n\n").replace(
        "largest[0] = rows[i].quantity", "MEMORY[0] += 1\n            largest[0] = MEMORY[0]"
    )
    new_module("largest", text.replace("rows[i].quantity", 'rows[i]["quantity"]'))  # plain Python
    with pytest.raises(CheckError, match="largest_trade"):
        check_factor("largest_trade", market_tape(400), checks=["save_restore"])
