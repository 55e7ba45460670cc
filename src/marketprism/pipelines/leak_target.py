"""A user's own factor function: found by its text, called with the kind of table it was written for."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketprism.core.errors import ConfigError, DataError, SourceError, did_you_mean
from marketprism.evaluate.leaks import as_table

if TYPE_CHECKING:
    import polars as pl

__all__ = ["KINDS", "adapt", "load_function", "read_tape"]

KINDS = ("polars", "pandas", "numpy")
"""What a function may take: a Polars frame, a pandas frame, or a dict of NumPy arrays by column."""

_TRIED_ROWS = 200


def load_function(target: str) -> Callable[[Any], Any]:
    """Return the function that ``module:function`` or ``path/to/file.py:function`` names; its code is run.

    Raises
    ------
    ConfigError
        The text is neither, the module or file cannot be imported, or the function is not in it.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise ConfigError(f"target was {target!r}", hint="write module:function or path/to/file.py:function")
    module = _from_file(Path(place)) if place.endswith(".py") else _from_module(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [each for each in vars(module) if callable(vars(module)[each]) and not each.startswith("_")]
            raise ConfigError(f"{place} has no {name!r}", hint=did_you_mean(name, known) if known else "define it")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"{target} is a {type(found).__name__}", hint="name a function that takes a tape")
    return found  # type: ignore[no-any-return]


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", hint="write path/to/file.py:function")
    spec = importlib.util.spec_from_file_location(f"_marketprism_target_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is no Python module", hint="name a .py file")
    module = importlib.util.module_from_spec(spec)
    # Its neighbours can be imported, as if the file had been run.
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path} could not be run: {type(error).__name__}: {error}", hint="correct it") from error
    finally:
        sys.path.remove(str(path.parent.resolve()))
    return module


def _from_module(name: str) -> Any:
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ConfigError(
            f"module {name!r} could not be imported: {type(error).__name__}: {error}",
            hint="name an installed module, one of this folder, or path/to/file.py:function",
        ) from error
    finally:
        if added:
            sys.path.remove(here)


def adapt(function: Callable[[Any], Any], kind: str, tape: pl.DataFrame) -> tuple[str, Any, Callable[[Any], Any]]:
    """Choose what the function gets: the kind asked for, or with ``auto`` the annotated one, or the first that works.

    Returns
    -------
    kind : str
        One of :data:`KINDS`.
    tape : Polars or pandas frame
        To check the function on.
    function : callable
        Takes such a tape.

    Raises
    ------
    DataError
        The function works with none of them.
    """
    said = _annotated(function) if kind == "auto" else kind
    for each in (said,) if said else KINDS:
        try:
            as_table(_call(function, each, _native(tape.head(_TRIED_ROWS), each)), "factor")
        except Exception as error:
            if said or each == KINDS[-1]:
                name = getattr(function, "__name__", "the function")
                raise DataError(
                    f"{name} failed on {min(tape.height, _TRIED_ROWS)} rows as {said or ', '.join(KINDS)}: "
                    f"{type(error).__name__}: {error}",
                    hint="choose what it takes with --as polars, pandas or numpy",
                ) from error
            continue
        break
    return each, _native(tape, each), lambda part: _call(function, each, part)


def _annotated(function: Callable[[Any], Any]) -> str:
    """Return the kind that the annotation of the first parameter names; empty without one."""
    try:
        first = next(iter(inspect.signature(function).parameters.values()))
    except (TypeError, ValueError, StopIteration):
        return ""
    text = str(first.annotation).lower()
    if "pandas" in text or text.startswith("pd."):
        return "pandas"
    if "polars" in text or text.startswith("pl."):
        return "polars"
    return "numpy" if "mapping" in text or "dict" in text else ""


def _native(tape: pl.DataFrame, kind: str) -> Any:
    return tape.to_pandas() if kind == "pandas" else tape


def _call(function: Callable[[Any], Any], kind: str, part: Any) -> Any:
    if kind != "numpy":
        return function(part)
    return function({name: part[name].to_numpy() for name in part.columns})


def read_tape(path: Path) -> pl.DataFrame:
    """Read a Parquet or CSV table.

    Raises
    ------
    SourceError
        It does not exist, is neither, cannot be read, or holds no row.
    """
    import polars as pl

    readers: dict[str, Callable[[Path], pl.DataFrame]] = {
        ".parquet": pl.read_parquet,
        ".pq": pl.read_parquet,
        ".csv": lambda file: pl.read_csv(file, try_parse_dates=True),
    }
    if path.suffix.lower() not in readers:
        raise SourceError(f"tape was {path}", hint="give a .parquet or .csv file")
    try:
        tape = readers[path.suffix.lower()](path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path} could not be read: {error}", hint="check the path and the format") from error
    if tape.is_empty():
        raise SourceError(f"{path} holds no row", hint="give a tape with at least 3 rows")
    return tape
