"""Settings of makers: unknown names and values out of range are named, with the remedy."""

from __future__ import annotations

import pytest

from marketprism.core.errors import ConfigError
from marketprism.strategies._plan import MAKER_DTYPE
from marketprism.strategies.registry import STRATEGIES, find_strategy


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_has_a_plan_of_known_fields(name: str) -> None:
    info = find_strategy(name)
    plan = info.config().plan(2.0)
    assert set(plan) <= set(MAKER_DTYPE.names)
    assert plan["quantity"] == 2.0
    assert info.description
    assert info.config.from_mapping({"levels": 3}).plan(1.0)["levels"] == 3


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("symmetric", {"half_spred_ticks": 2}, "did you mean 'half_spread_ticks'"),
        ("symmetric", {"half_spread_ticks": -1}, "half_spread_ticks was -1"),
        ("symmetric", {"levels": 17}, "1 to 16"),
        ("symmetric", {"level_step_ticks": 0}, "level_step_ticks was 0"),
        ("symmetric", {"requote_ticks": -1}, "requote_ticks was -1"),
        ("symmetric", {"order_quantity": 0}, "order_quantity was 0"),
        ("avellaneda_stoikov", {"gamma": -0.1}, "gamma was -0.1"),
        ("avellaneda_stoikov", {"k": 0}, "k was 0"),
        ("avellaneda_stoikov", {"horizon_s": 0}, "horizon_s was 0"),
        ("glft", {"solution": "exact", "max_inventory": 5000}, "1 to 1000"),
        ("glft", {"solution": "exact", "gamma": 0}, "needs a positive one"),
        ("glft", {"solution": "other"}, "solution"),
        ("signal_skew", {"signals": list("abcdefghi")}, "at most 8"),
        ("signal_skew", {"signals": ["a", "a"]}, "each once"),
        ("signal_skew", {"weights": [float("inf")]}, "finite"),
        ("inventory", {"soft_inventory": 20}, "the larger one"),
        ("inventory", {"max_inventory": None}, "the hard limit must be given"),
        ("inventory", {"aversion_cap": 0.5}, "aversion_cap was 0.5"),
        ("cancel_replace", {"refresh_ms": 0}, "refresh_ms was 0"),
        ("fixed_quote", {"offset_ticks": -1}, "offset_ticks was -1"),
    ],
)
def test_values_out_of_range_are_named(name: str, values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find_strategy(name).config.from_mapping(values)


def test_unknown_strategy_has_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'symmetric'"):
        find_strategy("symetric")
