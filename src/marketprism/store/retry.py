"""Trying again: capped exponential waits with jitter, for errors that pass by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

from marketprism.core.errors import Action, StoreError
from marketprism.core.random import stream
from marketprism.store.config import StoreConfig

__all__ = ["retry"]


def retry(
    attempt: Callable[[], None],
    config: StoreConfig,
    *,
    sleep: Callable[[float], None] = time.sleep,
    seed: int = 0,
) -> int:
    """Call ``attempt`` until it succeeds, and return how often it failed.

    Parameters
    ----------
    attempt : callable
        Raises StoreError with ``action`` RETRY where trying again may help; any other error is raised at once.
    config : StoreConfig
        ``retries``, ``backoff_s`` and ``backoff_max_s``.
    sleep : callable
        Waits for some seconds.
    seed : int, default 0
        Seed of the jitter: writers with different seeds do not come back at the same moment.

    Raises
    ------
    StoreError
        The last one, after ``config.retries`` further tries.
    """
    rng = stream(seed, "store-backoff")
    failures = 0
    while True:
        try:
            attempt()
        except StoreError as error:
            if error.action != Action.RETRY or failures >= config.retries:
                raise
            wait = min(config.backoff_max_s, config.backoff_s * 2.0**failures)
            failures += 1
            sleep(wait * float(rng.uniform(0.5, 1.0)))
        else:
            return failures
