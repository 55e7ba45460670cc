"""Own strategies from files: ``path.py:Name`` names a Strategy class or a compiled ``decide`` function."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from marketprism.backtest.engine import Engine
from marketprism.backtest.signals import SignalTape
from marketprism.backtest.strategy import Strategy, drive_decide, run_strategies
from marketprism.core.errors import ConfigError, did_you_mean

__all__ = ["UserStrategy", "as_user_strategy", "load_strategy", "run_user"]

_STATE = 16


class UserStrategy(NamedTuple):
    """An own strategy: a class, or a compiled function with the names and defaults of its parameters."""

    what: type[Strategy] | Callable[..., Any]
    parameters: Mapping[str, Any]
    state: int = _STATE


def load_strategy(spec: str) -> UserStrategy:
    """Load ``path.py:Name``.

    Parameters
    ----------
    spec : str
        Path of a Python file and a name in it: a subclass of :class:`~marketprism.backtest.strategy.Strategy`, or an
        njit function ``decide(e, account, market, parameters, state, signals)``. The parameters of a function are the
        file's ``PARAMETERS`` (a mapping of names to numbers), the length of its state is the file's ``STATE`` (or 16).

    Raises
    ------
    ConfigError
        There is no such file or name, it is neither of the two, or the file does not run.
    """
    path, _, name = spec.rpartition(":")
    if not path or not Path(path).is_file():
        raise ConfigError(f"there is no file {path!r}", hint="own strategies are named path.py:Name")
    key = f"marketprism_user_{Path(path).stem}"
    loader = importlib.util.spec_from_file_location(key, path)
    if loader is None or loader.loader is None:
        raise ConfigError(f"{path} is not a Python file", hint="own strategies are named path.py:Name")
    module = importlib.util.module_from_spec(loader)
    sys.modules[key] = module
    try:
        loader.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path} did not run: {type(error).__name__}: {error}") from error
    found = {n: v for n, v in vars(module).items() if _is_strategy(v)}
    if name not in found:
        raise ConfigError(f"{path} has no strategy {name!r}", hint=did_you_mean(name, found))
    return as_user_strategy(found[name], getattr(module, "PARAMETERS", {}), getattr(module, "STATE", _STATE))


def _is_strategy(value: Any) -> bool:
    return is_jitted(value) or (isinstance(value, type) and issubclass(value, Strategy) and value is not Strategy)


def as_user_strategy(what: Any, parameters: Mapping[str, float] | None = None, state: int = _STATE) -> UserStrategy:
    """Return a class or compiled function (or one loaded from ``path.py:Name``) with its parameters.

    Raises
    ------
    ConfigError
        It is neither.
    """
    if isinstance(what, UserStrategy):
        return what
    if isinstance(what, str):
        return load_strategy(what)
    if not _is_strategy(what):
        raise ConfigError(f"a strategy was {what!r}", hint="a name, path.py:Name, a Strategy class or an njit function")
    if isinstance(what, type) and issubclass(what, Strategy):
        return UserStrategy(what, what.parameters(), state)
    return UserStrategy(what, dict(parameters or {}), state)


def run_user(
    engine: Engine,
    accounts: Sequence[tuple[UserStrategy, Mapping[str, Any]]],
    *,
    interval_ns: int,
    signals: SignalTape | None = None,
) -> None:
    """Run own strategies, one for each account; all classes, or all the same function.

    Raises
    ------
    ConfigError
        Kinds are mixed, a parameter is unknown or no number, or the function does not compile.
    """
    if all(isinstance(strategy.what, type) for strategy, _ in accounts):
        made = [strategy.what(**values) for strategy, values in accounts]
        run_strategies(engine, made, interval_ns=interval_ns, signals=signals)
        return
    first = accounts[0][0]
    if any(strategy.what is not first.what for strategy, _ in accounts):
        raise ConfigError("own strategies of different kinds were mixed", hint="all classes, or all one function")
    rows = [_row(first, values) for _, values in accounts]
    markets = len(engine.tapes)
    ts = signals.ts if signals is not None else np.zeros(0, np.int64)
    values = signals.values if signals is not None else np.zeros((0, 0))
    state = np.zeros((markets * len(rows), max(first.state, 1)))
    try:
        engine.run(
            drive_decide,
            first.what,
            interval_ns,
            np.array(rows).reshape(len(rows), -1),
            state,
            np.full(1, -1, np.int64),
            np.ascontiguousarray(ts),
            np.ascontiguousarray(values),
        )
    except NumbaError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ConfigError(
            f"{first.what.__name__} did not compile: {' '.join(lines[:3])}",
            hint="decide(e, account, market, parameters, state, signals)",
        ) from error


def _row(strategy: UserStrategy, values: Mapping[str, Any]) -> list[float]:
    for name in values:
        if name not in strategy.parameters:
            hint = did_you_mean(name, strategy.parameters)
            raise ConfigError(f"{strategy.what.__name__} has no parameter {name!r}", hint=hint)
    row = []
    for name, default in strategy.parameters.items():
        try:
            number = float(values.get(name, default))
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ConfigError(f"{name} was {values.get(name, default)!r}", hint="a finite number")
        row.append(number)
    return row
