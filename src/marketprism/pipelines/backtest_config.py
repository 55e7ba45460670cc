"""Configuration of a backtest: defaults, ``--set key=value``, and lanes from a file."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from marketprism.backtest.config import MarketConfig, Mode
from marketprism.backtest.risk import RiskLimits
from marketprism.buckets.config import BucketConfig
from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.factors.config import EngineConfig
from marketprism.pipelines.market_tape import TapeConfig
from marketprism.pipelines.settings import merge, parse_setting

__all__ = ["BacktestConfig", "load_lanes", "split_settings"]

_MOST_LANES = 1_000


class BacktestConfig(Config, frozen=True):
    """Everything a backtest depends on besides its data and its strategy; its hash is in every artefact.

    Parameters
    ----------
    seed : int
        Of the bootstrap; ``--seed`` sets ``market.seed``, that of jittered latencies, as well.
    mode : {"strict", "compat"}
        Rules of the exchange, see ``docs/concepts.md``.
    interval_ms : float
        Time between two decisions.
    market : MarketConfig
        Latency, queue model, fees, contract.
    tape : TapeConfig
        How the source becomes a tape.
    risk : RiskLimits
        What the engine refuses to send.
    engine : EngineConfig
        Book, buckets and factors behind ``--signal``; by default buckets of one second.
    markout_s : tuple of float
        Horizons of the mark-outs, seconds.
    bar_s : float
        Bars of the equity curve and of all that luck is measured by, seconds.
    replications : int
        Of the bootstrap.
    confidence : float
        Coverage of the intervals, and what a deflated Sharpe ratio must reach to be called more than luck.
    """

    seed: int = 0
    mode: Mode = "strict"
    interval_ms: float = 100.0
    market: MarketConfig = MarketConfig()
    tape: TapeConfig = TapeConfig()
    risk: RiskLimits = msgspec.field(default_factory=RiskLimits)
    engine: EngineConfig = EngineConfig(buckets=BucketConfig(policy="time", t_target_s=1.0))
    markout_s: tuple[float, ...] = (0.1, 1.0, 5.0, 30.0)
    bar_s: float = 1.0
    replications: int = 1000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name in ("interval_ms", "bar_s"):
            if not 0 < getattr(self, name) < 1e12:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be positive")
        if not self.markout_s or min(self.markout_s) <= 0:
            raise ConfigError(f"markout_s was {list(self.markout_s)}", hint="give positive seconds")
        if self.replications < 1:
            raise ConfigError(f"replications was {self.replications}", hint="it must be at least 1")
        if not 0.5 < self.confidence < 1:
            raise ConfigError(f"confidence was {self.confidence}", hint="it is a share above one half")


def split_settings(settings: Sequence[str], seed: int | None = None) -> tuple[BacktestConfig, dict[str, Any]]:
    """Return the configuration and the strategy's parameters that ``key=value`` settings describe.

    Keys of :class:`BacktestConfig`, dotted ones included, go there; all others are the strategy's, and a strategy's
    key of the same name is written ``strategy.key``.

    Raises
    ------
    ConfigError
        A setting is no ``key=value``, or a value of the configuration is out of range.

    Examples
    --------
    >>> config, parameters = split_settings(["market.maker_fee_bps=-0.5", "gamma=0.1"], seed=7)
    >>> config.market.maker_fee_bps, config.market.seed, parameters
    (-0.5, 7, {'gamma': 0.1})
    """
    known = {field.name for field in msgspec.structs.fields(BacktestConfig)}
    values = BacktestConfig().to_mapping()
    parameters: dict[str, Any] = {}
    if seed is not None:
        settings = [f"seed={seed}", f"market.seed={seed}", *settings]
    for setting in settings:
        key, value = parse_setting(setting, "market.maker_fee_bps=0.2")
        first, *rest = key.split(".")
        if first == "strategy" and rest:
            parameters[".".join(rest)] = value
        elif first in known:
            for part in reversed(rest):
                value = {part: value}
            merge(values, {first: value})
        else:
            parameters[key] = value
    return BacktestConfig.from_mapping(values), parameters


def load_lanes(path: Path) -> list[dict[str, Any]]:
    """Read parameter sets: YAML or JSON (a list of mappings, or one mapping of lists: all combinations), or CSV.

    Raises
    ------
    ConfigError
        The file cannot be read, is none of that, or holds no parameter set or more than a thousand.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="--lanes takes a YAML, JSON or CSV file") from error
    lanes = _csv_lanes(text) if path.suffix.lower() == ".csv" else _yaml_lanes(path, text)
    if not lanes:
        raise ConfigError(f"{path} holds no parameter set", hint="write one row or list entry for each lane")
    if len(lanes) > _MOST_LANES:
        raise ConfigError(f"{path} holds {len(lanes):,} parameter sets", hint=f"at most {_MOST_LANES:,} in one replay")
    return lanes


def _csv_lanes(text: str) -> list[dict[str, Any]]:
    import yaml

    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    return [{key: yaml.safe_load(value) for key, value in row.items() if key and value} for row in rows]


def _yaml_lanes(path: Path, text: str) -> list[dict[str, Any]]:
    import yaml

    hint = "write a list of mappings, or a mapping of parameters to lists of values"
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {error}", hint=hint) from error
    if isinstance(loaded, Mapping):
        if not all(isinstance(values, list) for values in loaded.values()):
            raise ConfigError(f"{path} holds a mapping whose values are no lists", hint=hint)
        return [dict(zip(loaded, values, strict=True)) for values in itertools.product(*loaded.values())]
    if not isinstance(loaded, list) or not all(isinstance(entry, Mapping) for entry in loaded):
        raise ConfigError(f"{path} holds a {type(loaded).__name__}", hint=hint)
    return [dict(entry) for entry in loaded]
