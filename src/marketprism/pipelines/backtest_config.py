"""Configuration of a backtest: defaults, ``--set key=value``, and lanes from a file."""

from __future__ import annotations

import csv
import itertools
import math
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
from marketprism.pipelines.settings import merge, parse_setting, read_yaml

__all__ = ["BacktestConfig", "load_lanes", "split_settings"]

_MOST_LANES = 1_000
_DAY_S = 86_400.0


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
        for name, least, most in (("interval_ms", 1e-6, _DAY_S * 1e3), ("bar_s", 1e-3, _DAY_S)):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"{name} was {getattr(self, name):g}", hint=f"from {least:g} to {most:g}, a day")
        if not self.markout_s or not all(0 < horizon < math.inf for horizon in self.markout_s):
            raise ConfigError(f"markout_s was {list(self.markout_s)}", hint="give positive seconds")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed was {self.seed}", hint="from 0 to 2^63 - 1")
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
        elif key == "strategy":
            raise ConfigError(f"--set {setting}", hint="the strategy is the command's argument, or a key of a lane")
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
    hint = "--lanes takes a YAML, JSON or CSV file"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}", hint=hint) from error
    if not text.strip():
        raise ConfigError(f"{path} is empty", hint=hint)
    lanes = _csv_lanes(path, text) if path.suffix.lower() == ".csv" else _yaml_lanes(path, text)
    if not lanes:
        raise ConfigError(f"{path} holds no parameter set", hint="write one row or list entry for each lane")
    if len(lanes) > _MOST_LANES:
        raise ConfigError(f"{path} holds {len(lanes):,} parameter sets", hint=f"at most {_MOST_LANES:,} in one replay")
    for number, lane in enumerate(lanes, 1):
        if not all(isinstance(key, str) for key in lane):
            raise ConfigError(f"{path}, lane {number}: keys were {list(lane)}", hint="name parameters of the strategy")
    return lanes


def _csv_lanes(path: Path, text: str) -> list[dict[str, Any]]:
    """Return a lane for each row; an empty cell leaves its parameter at the default."""
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    header = next(rows)
    if "" in header or len(set(header)) < len(header):
        raise ConfigError(f"{path}, line 1: columns were {header}", hint="name each parameter once")
    lanes = []
    for row in rows:
        if not row:
            continue
        where = f"{path}, line {rows.line_num}"
        if len(row) != len(header):
            raise ConfigError(f"{where}: {len(row)} cells in {len(header)} columns", hint=f"give {', '.join(header)}")
        cells = zip(header, row, strict=True)
        hint = "write a number, true or a list"
        lanes.append({key: read_yaml(cell, f"{where}, {key}", hint) for key, cell in cells if cell})
    return lanes


def _yaml_lanes(path: Path, text: str) -> list[dict[str, Any]]:
    hint = "write a list of mappings, or a mapping of parameters to lists of values"
    loaded = read_yaml(text, str(path), hint)
    if isinstance(loaded, Mapping):
        scalars = [str(key) for key, values in loaded.items() if not isinstance(values, list)]
        if scalars:
            raise ConfigError(f"{path}: {scalars[0]} has no list of values", hint=hint)
        return [dict(zip(loaded, values, strict=True)) for values in itertools.product(*loaded.values())]
    if not isinstance(loaded, list):
        raise ConfigError(f"{path} holds {loaded!r:.40}", hint=hint)
    for number, entry in enumerate(loaded, 1):
        if not isinstance(entry, Mapping):
            raise ConfigError(f"{path}, lane {number}, was {entry!r:.40}", hint=hint)
    return [dict(entry) for entry in loaded]
