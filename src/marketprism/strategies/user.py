"""Own strategies from files: ``path.py:Name`` names a Strategy class or a compiled ``decide`` function."""

from __future__ import annotations

import importlib.util
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any, NamedTuple

import numpy as np
from numba.core.errors import NumbaError
from numba.extending import is_jitted

from marketprism.backtest.engine import Engine
from marketprism.backtest.signals import SignalTape
from marketprism.backtest.strategy import Strategy, drive_decide, run_strategies
from marketprism.core.errors import ConfigError, MarketPrismError, did_you_mean

__all__ = ["UserStrategy", "as_user_strategy", "check_user", "load_strategy", "own_errors", "run_user"]

_STATE = 16
_SIGNATURE = "decide(e, account, market, parameters, state, signals)"
_ARGUMENTS = 6
_MEND = "mend the strategy"


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
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{_where(error, path) or path} did not run: {_said(error)}", hint=_MEND) from error
    found = {n: v for n, v in vars(module).items() if _is_strategy(v)}
    if name not in found:
        hint = did_you_mean(name, found) if found else "write a Strategy class or an njit function"
        raise ConfigError(f"{path} has no strategy {name!r}", hint=hint)
    parameters, state = getattr(module, "PARAMETERS", {}), getattr(module, "STATE", _STATE)
    if not isinstance(parameters, Mapping):
        raise ConfigError(f"{path}: PARAMETERS was {parameters!r}", hint="a mapping of names to numbers")
    if not isinstance(state, int) or state < 0:
        raise ConfigError(f"{path}: STATE was {state!r}", hint="a length, 0 or more")
    try:
        return as_user_strategy(found[name], parameters, state)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


@contextmanager
def own_errors(spec: str) -> Iterator[None]:
    """Turn what an own strategy raises into an error that names its file and line; other errors pass.

    Parameters
    ----------
    spec : str
        ``path.py:Name``.

    Raises
    ------
    ConfigError
        The strategy raised something.
    """
    path, _, name = spec.rpartition(":")
    try:
        yield
    except Exception as error:
        where = _where(error, path)
        if not where:
            raise
        if isinstance(error, MarketPrismError):
            raise ConfigError(f"{where}: {error}") from error
        raise ConfigError(f"{where}: {name} raised {_said(error)}", hint=_MEND) from error


def _where(error: BaseException, path: str) -> str:
    """Return ``path, line n`` of the innermost place in a file that an error passed, or nothing."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename) == Path(path).absolute():
        return f"{path}, line {error.lineno}"
    lines = [
        line for frame, line in walk_tb(error.__traceback__) if Path(frame.f_code.co_filename) == Path(path).absolute()
    ]
    return f"{path}, line {lines[-1]}" if lines else ""


def _said(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {' '.join(text.split())}" if text else type(error).__name__


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
    takes = len(inspect.signature(what.py_func).parameters)
    if takes != _ARGUMENTS:
        raise ConfigError(f"{what.__name__} takes {takes} arguments", hint=_SIGNATURE)
    return UserStrategy(what, dict(parameters or {}), state)


def check_user(strategy: UserStrategy, values: Mapping[str, Any]) -> None:
    """Refuse parameters that an own strategy cannot take.

    Raises
    ------
    ConfigError
        One is unknown, or of the wrong type.
    """
    if isinstance(strategy.what, type):
        strategy.what(**values)
    else:
        _row(strategy, values)


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
        raise ConfigError(
            f"{first.what.__name__} did not compile: {_untyped(error, first.what)}", hint=_SIGNATURE
        ) from error


def _untyped(error: NumbaError, what: Any) -> str:
    """Return the first line of a compiler's error that says something, and the last place it names in the file."""
    said = [line for line in map(str.strip, str(error).splitlines()) if line and not line.startswith("Failed in")]
    file = Path(what.py_func.__code__.co_filename).name
    lines = re.findall(rf'File "(?:[^"]*[\\/])?{re.escape(file)}", line (\d+)', str(error))
    return f"{said[0][:200]}, {file}, line {lines[-1] if lines else what.py_func.__code__.co_firstlineno}"


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
