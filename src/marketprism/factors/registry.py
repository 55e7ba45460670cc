"""Every factor there is: families found in this package and behind entry points, their definitions, their hash."""

from __future__ import annotations

import importlib
import inspect
import io
import pkgutil
import tokenize
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import marketprism.factors as package
from marketprism.buckets.record import BUCKET_DTYPE
from marketprism.core.config import Config, config_hash
from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.factors.base import Factor, Family, Setup

__all__ = [
    "ENTRY_POINT_GROUP",
    "factor",
    "factor_hash",
    "factors",
    "families",
    "family_of",
    "params_of",
    "select",
]

ENTRY_POINT_GROUP = "marketprism.factors"
_SHARED_SOURCES = ("marketprism.factors.marks", "marketprism.factors.windows")
_TAKEN = frozenset({"exchange", "market_type", "symbol", *(BUCKET_DTYPE.names or ())})


def families() -> dict[str, Family]:
    """Return all families by name, in the order of their names.

    A module of ``marketprism.factors`` that defines ``FAMILY`` is one; so is what an entry point of the group
    ``marketprism.factors`` names (a module with ``FAMILY``, or the family itself).

    Raises
    ------
    ConfigError
        Two families have one name, or an entry point names something else.
    """
    found: list[tuple[str, Any]] = []
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            path = f"{package.__name__}.{module.name}"
            found.append((path, getattr(importlib.import_module(path), "FAMILY", None)))
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        loaded = entry.load()
        family = getattr(loaded, "FAMILY", None) if isinstance(loaded, ModuleType) else loaded
        if not isinstance(family, Family):
            raise ConfigError(f"entry point {entry.name} = {entry.value} was no factor family", hint="define FAMILY")
        found.append((entry.value, family))
    result: dict[str, Family] = {}
    for where, family in found:
        if family is None:
            continue
        if family.name in result:
            raise ConfigError(f"two factor families are called {family.name}", hint=f"rename the one of {where}")
        result[family.name] = family
    return dict(sorted(result.items()))


def select(names: tuple[str, ...] | None) -> tuple[Family, ...]:
    """Return the named families, all where ``names`` is None, in the order of their names.

    Raises
    ------
    ConfigError
        A name is unknown.
    """
    known = families()
    for name in names or ():
        if name not in known:
            raise ConfigError(f"there is no factor family {name!r}", hint=did_you_mean(name, known))
    return tuple(family for name, family in known.items() if names is None or name in names)


def params_of(family: Family, params: Mapping[str, Mapping[str, Any]]) -> Config:
    """Return the parameters of ``family``: its defaults, changed as ``params[family.name]`` says."""
    return family.params.from_mapping(params.get(family.name, {}))


def factors(
    names: tuple[str, ...] | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    depth_levels: int = 10,
) -> tuple[Factor, ...]:
    """Return the definitions of all factors of the named families, in the order of the output columns.

    Raises
    ------
    ConfigError
        Two factors have one name, or one has the name of a bucket column.
    """
    params = params or {}
    result: dict[str, Factor] = {}
    chosen = select(names)
    for name in params:
        if name not in {family.name for family in chosen}:
            raise ConfigError(
                f"there are parameters for the family {name!r}, which is not computed",
                hint=did_you_mean(name, [family.name for family in chosen]),
            )
    for family in chosen:
        for item in family.factors(Setup(params_of(family, params), depth_levels)):
            if item.name in result or item.name in _TAKEN:
                other = f"family {result[item.name].family}" if item.name in result else "the bucket columns"
                raise ConfigError(
                    f"factor {item.name} of family {family.name} is also one of {other}", hint="rename it"
                )
            result[item.name] = replace(item, family=family.name)
    return tuple(result.values())


def factor(name: str, params: Mapping[str, Mapping[str, Any]] | None = None, depth_levels: int = 20) -> Factor:
    """Return one definition by name (with the given or default parameters).

    Raises
    ------
    ConfigError
        The name is unknown; the hint names the closest.

    Examples
    --------
    >>> factor("queue_imbalance").formula
    '(qb - qa) / (qb + qa)'
    """
    known = {item.name: item for item in factors(None, params, depth_levels)}
    if name not in known:
        raise ConfigError(f"there is no factor {name!r}", hint=did_you_mean(name, known))
    return known[name]


def family_of(name: str) -> Family:
    """Return the family that the factor ``name`` belongs to."""
    return families()[factor(name).family]


def factor_hash(
    names: tuple[str, ...] | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    depth_levels: int = 10,
) -> str:
    """Return the hash (16 hex digits) of the definitions and of the code that computes them.

    Comments, docstrings and line breaks do not change it; a changed formula, kernel, window or name does.
    """
    definitions = [asdict(item) for item in factors(names, params, depth_levels)]
    modules = {_module_of(family) for family in select(names)} | set(_SHARED_SOURCES)
    return config_hash({"factors": definitions, "code": {name: _code_hash(name) for name in sorted(modules)}})


def _module_of(family: Family) -> str:
    function = getattr(family.kernel, "py_func", family.kernel)
    return str(function.__module__)


@lru_cache(maxsize=256)
def _code_hash(module: str) -> str:
    return config_hash(_significant_tokens(inspect.getsource(importlib.import_module(module))))


def _significant_tokens(source: str) -> list[str]:
    """Return the tokens of the code without comments, blank lines and string statements."""
    result: list[str] = []
    starts_statement, in_docstring = True, False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in {tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER}:
            continue
        if token.type == tokenize.STRING and starts_statement:
            in_docstring = True
            continue
        if in_docstring and token.type == tokenize.NEWLINE:
            in_docstring = False
            continue
        starts_statement = token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
        if token.type == tokenize.INDENT:
            result.append("{")
        elif token.type == tokenize.DEDENT:
            result.append("}")
        elif token.type == tokenize.NEWLINE:
            result.append(";")
        else:
            result.append(token.string)
    return result
