from __future__ import annotations

import pytest

from marketprism.core.errors import Action, StoreError
from marketprism.store.config import StoreConfig
from marketprism.store.retry import retry

CONFIG = StoreConfig(retries=5, backoff_s=1.0, backoff_max_s=4.0)


def failing(times: int, action: Action = Action.RETRY) -> tuple[list[int], object]:
    calls: list[int] = []

    def attempt() -> None:
        calls.append(1)
        if len(calls) <= times:
            raise StoreError("busy", action=action)

    return calls, attempt


def test_waits_grow_are_capped_and_jittered() -> None:
    calls, attempt = failing(5)
    waits: list[float] = []
    assert retry(attempt, CONFIG, sleep=waits.append) == 5
    assert len(calls) == 6
    for wait, most in zip(waits, [1, 2, 4, 4, 4], strict=True):
        assert most / 2 <= wait <= most
    assert len(set(waits)) == 5
    again: list[float] = []
    retry(failing(5)[1], CONFIG, sleep=again.append)
    assert again == waits
    other: list[float] = []
    retry(failing(5)[1], CONFIG, sleep=other.append, seed=1)
    assert other != waits


def test_it_gives_up_with_the_last_error() -> None:
    calls, attempt = failing(99)
    with pytest.raises(StoreError, match="busy"):
        retry(attempt, CONFIG, sleep=lambda _: None)
    assert len(calls) == 6


def test_errors_that_stay_are_raised_at_once() -> None:
    calls, attempt = failing(99, Action.STOP)
    with pytest.raises(StoreError):
        retry(attempt, CONFIG, sleep=lambda _: None)
    assert len(calls) == 1
