"""Bucket policies by name: every module here that defines POLICY is one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from marketprism.buckets.rule import Policy
from marketprism.core.errors import ConfigError, did_you_mean

__all__ = ["policies", "policy"]


@cache
def policies() -> dict[str, Policy]:
    """Return every policy by name, sorted."""
    found = {}
    for info in pkgutil.iter_modules(__path__):
        entry = importlib.import_module(f"{__name__}.{info.name}").POLICY
        found[entry.name] = entry
    return dict(sorted(found.items()))


def policy(name: str) -> Policy:
    """Return the policy called ``name``.

    Raises
    ------
    ConfigError
        There is none of that name.

    Examples
    --------
    >>> policy("volume").name
    'volume'
    """
    known = policies()
    if name not in known:
        raise ConfigError(f"bucket policy was {name!r}", hint=did_you_mean(name, known))
    return known[name]
