"""Runs strategies over tapes: built-in ones by name, own ones from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from marketprism.backtest.config import MarketConfig, Mode
from marketprism.backtest.engine import Engine
from marketprism.backtest.models import MarketModels
from marketprism.backtest.risk import RiskLimits
from marketprism.backtest.tape import Tape
from marketprism.core.errors import ConfigError
from marketprism.strategies._arrays import MakerArrays
from marketprism.strategies._maker import drive
from marketprism.strategies.config import MakerConfig
from marketprism.strategies.registry import find_strategy
from marketprism.strategies.user import UserStrategy, as_user_strategy, run_user

if TYPE_CHECKING:
    from marketprism.backtest.signals import SignalTape

__all__ = ["Simulation", "simulate"]

Parameters = Mapping[str, Any]


class Simulation:
    """Built-in makers on an engine: any kinds in any lanes, and as agents of one world.

    Parameters
    ----------
    tapes : sequence of Tape
        One for each market; every account quotes in all of them, each market by itself.
    strategy : str or sequence of str
        A name of ``STRATEGIES`` for all, or one for each agent.
    parameters : mapping or sequence
        Settings of the strategy. A sequence makes lanes: each entry a mapping for all agents, or a sequence of one
        mapping for each agent. The key ``strategy`` gives a lane or agent another strategy.
    markets : sequence of MarketConfig, optional
        One for each market.
    mode : {"strict", "compat"}
        Of the engine.
    agents : int, default 1
        Makers in one world, if ``strategy`` is one name.
    interval_ms : float, default 100
        Between decisions; 0: at every feed event.
    signals : SignalTape, optional
        For ``signal_skew``; read in all markets.
    risk : RiskLimits or sequence of RiskLimits
        For all, or one for each agent.
    models : sequence of MarketModels, optional
        One for each market.

    Attributes
    ----------
    engine : Engine
        With all accounts.
    configs : tuple of MakerConfig
        By account, ``lane * agents + agent``.
    states : ndarray
        What each account's maker remembers: ``k``, ``rate``, ``sigma`` in use among others.
    """

    def __init__(
        self,
        tapes: Sequence[Tape],
        strategy: str | Sequence[str] = "avellaneda_stoikov",
        parameters: Parameters | Sequence[Any] = (),
        *,
        markets: Sequence[MarketConfig] = (),
        mode: Mode = "strict",
        agents: int = 1,
        interval_ms: float = 100.0,
        signals: SignalTape | None = None,
        risk: RiskLimits | Sequence[RiskLimits] = RiskLimits(),  # noqa: B008 - frozen
        models: Sequence[MarketModels] = (),
    ) -> None:
        names = [strategy] * agents if isinstance(strategy, str) else list(strategy)
        self._interval = _interval(interval_ms)
        lanes = _lanes(parameters, len(names))
        self.configs = tuple(_configure(name, v) for lane in lanes for name, v in zip(names, lane, strict=True))
        self.engine = Engine(tapes, markets, lanes=len(lanes), agents=len(names), risk=risk, models=models, mode=mode)
        self._arrays = MakerArrays(self.engine.tapes, self.configs, signals)

    @property
    def states(self) -> np.ndarray:
        """Records of the makers, ``[market, lane * agents + agent]``."""
        return self._arrays.states.reshape(len(self.engine.tapes), -1)

    def run(self) -> Engine:
        """Run to the end of the data."""
        self.engine.run(drive, self._interval, *self._arrays.arguments)
        return self.engine


def simulate(
    tapes: Sequence[Tape],
    strategy: Any = "avellaneda_stoikov",
    parameters: Parameters | Sequence[Any] = (),
    *,
    markets: Sequence[MarketConfig] = (),
    mode: Mode = "strict",
    agents: int = 1,
    interval_ms: float = 100.0,
    signals: SignalTape | None = None,
    risk: RiskLimits | Sequence[RiskLimits] = RiskLimits(),  # noqa: B008 - frozen
    models: Sequence[MarketModels] = (),
) -> Engine:
    """Run a strategy over tapes to the end and return the engine with its accounts.

    Parameters are those of :class:`Simulation`; ``strategy`` can also be an own one: ``path.py:Name``, what
    :func:`~marketprism.strategies.user.load_strategy` returned, a subclass of
    :class:`~marketprism.backtest.strategy.Strategy` or a compiled function (see there), or a sequence of these, one for
    each agent.

    Raises
    ------
    ConfigError
        A strategy, parameter or signal is unknown, or a value out of range.

    Examples
    --------
    >>> simulate([tape], "symmetric", {"half_spread_ticks": 2})  # doctest: +SKIP
    >>> simulate([tape], "glft", [{"gamma": g} for g in (0.001, 0.01, 0.1)])  # three lanes  # doctest: +SKIP
    >>> simulate([tape], "mine.py:Grid", {"width": 3})  # doctest: +SKIP
    """
    single = isinstance(strategy, (str, UserStrategy)) or callable(strategy)
    names = [strategy] * agents if single else list(strategy)
    own = [not isinstance(name, str) or ":" in name for name in names]
    if not any(own):
        return Simulation(
            tapes,
            names,
            parameters,
            markets=markets,
            mode=mode,
            interval_ms=interval_ms,
            signals=signals,
            risk=risk,
            models=models,
        ).run()
    if not all(own):
        raise ConfigError("own and built-in strategies were mixed in one replay", hint="run them one after the other")
    interval_ns = _interval(interval_ms)
    loaded = [as_user_strategy(name) for name in names]
    lanes = _lanes(parameters, len(names))
    engine = Engine(tapes, markets, lanes=len(lanes), agents=len(names), risk=risk, models=models, mode=mode)
    accounts = [(loaded[n], values) for lane in lanes for n, values in enumerate(lane)]
    run_user(engine, accounts, interval_ns=interval_ns, signals=signals)
    return engine


def _interval(interval_ms: float) -> int:
    if not 0 <= interval_ms <= 86_400_000:
        raise ConfigError(f"interval_ms was {interval_ms}", hint="0 for every event, or up to a day")
    return round(interval_ms * 1e6)


def _lanes(parameters: Parameters | Sequence[Any], agents: int) -> list[list[dict[str, Any]]]:
    """Return settings ``[lane][agent]``.

    Raises
    ------
    ConfigError
        A lane has settings for another number of agents.
    """
    if agents < 1:
        raise ConfigError(f"agents was {agents}", hint="at least one")
    lanes = [parameters] if isinstance(parameters, Mapping) else list(parameters) or [{}]
    result = []
    for n, lane in enumerate(lanes):
        each = [lane] * agents if isinstance(lane, Mapping) else list(lane)
        if len(each) != agents:
            raise ConfigError(f"lane {n} has settings for {len(each)} agents of {agents}", hint="one for each")
        result.append([dict(values) for values in each])
    return result


def _configure(name: str, values: Mapping[str, Any]) -> MakerConfig:
    """Return the checked configuration of a built-in strategy, which ``values`` may name."""
    rest = {key: value for key, value in values.items() if key != "strategy"}
    return find_strategy(str(values.get("strategy", name))).config.from_mapping(rest)
