"""Maximum likelihood for Hawkes processes: event types one by one, transition probabilities by counting."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from marketprism.core.errors import DataError
from marketprism.core.random import stream
from marketprism.simulate.hawkes import HawkesEvents, HawkesParameters
from marketprism.simulate.hawkes_kernel import likelihood

__all__ = ["HawkesFit", "fit_hawkes", "hawkes_log_likelihood"]

_FLOOR = 1e-8
_LARGEST_BRANCHING = 0.999


class HawkesFit(NamedTuple):
    """A fit: parameters, log-likelihood (of times and types), and whether the optimiser converged for every type."""

    parameters: HawkesParameters
    log_likelihood: float
    converged: bool


def hawkes_log_likelihood(parameters: HawkesParameters, events: HawkesEvents) -> float:
    """Return ``sum_n log lambda_{E_n}(T_n) - sum_e int_0^horizon lambda_e``, in nats.

    The transition probabilities add a constant in the other parameters and are left out.

    Examples
    --------
    >>> import math
    >>> poisson = HawkesParameters.from_arrays([2.0], [[0.0]], [[1.0]])
    >>> events = HawkesEvents(np.array([0.5, 1.0]), np.zeros(2), np.zeros(2), 3.0)
    >>> math.isclose(hawkes_log_likelihood(poisson, events), 2 * math.log(2) - 6)
    True
    """
    events = events.checked(parameters.types, parameters.states)
    base, impact, decay = parameters.pairs()
    pair = events.types * parameters.states + events.states
    scratch = np.empty(1 + 2 * len(impact))
    return sum(
        float(
            likelihood(base[e], impact[:, e].copy(), decay[:, e].copy(), events.times, pair, events.types == e,
                       events.horizon, scratch)
        )
        for e in range(parameters.types)
    )  # fmt: skip


def fit_hawkes(
    events: HawkesEvents, types: int, states: int = 1, *, starts: int = 3, seed: int = 0, shared_decay: bool = False
) -> HawkesFit:
    """Fit base rates, impacts and decays by maximum likelihood, and transition probabilities by counting.

    The likelihood splits into one problem for each event type, in ``1 + 2 types states`` parameters, solved by
    L-BFGS-B on their logarithms with the exact gradient from several starting points.

    Parameters
    ----------
    events : HawkesEvents
        What was seen.
    types, states : int
        Numbers of event types and of states.
    starts : int, default 3
        Starting points for each type; the best end is kept.
    seed : int, default 0
        Seed of the starting points.
    shared_decay : bool, default False
        One decay for each type in place of one for each pair: fewer parameters for short samples.

    Returns
    -------
    HawkesFit
        A transition that was never seen has the uniform law.

    Raises
    ------
    DataError
        A type has no event, or times, types or states are out of order or range.
    """
    events = events.checked(types, states)
    counts = np.bincount(events.types, minlength=types)
    if counts.min() == 0:
        raise DataError(
            f"event counts by type were {counts.tolist()}", hint="each type needs events: merge or drop some"
        )
    pair = events.types * states + events.states
    rng = stream(seed, "simulate", "hawkes fit")
    base, impact, decay = np.empty(types), np.empty((types * states, types)), np.empty((types * states, types))
    total, converged = 0.0, True
    for e in range(types):
        best, ok = _fit_type(events, pair, e, types * states, starts, rng, shared_decay)
        total -= best[0]
        base[e], impact[:, e], decay[:, e] = best[1], best[2], best[3]
        converged &= ok
    shape = (types, states, types)
    # A fit at the edge of stability is shrunk to where the process exists.
    excess = float(np.abs(np.linalg.eigvals((impact / decay).reshape(shape).min(axis=1))).max())
    if excess > _LARGEST_BRANCHING:
        impact *= _LARGEST_BRANCHING / excess
    phi = _transitions(events, types, states)
    parameters = HawkesParameters.from_arrays(base, impact.reshape(shape), decay.reshape(shape), phi)
    return HawkesFit(parameters, total, converged)


_End = tuple[float, float, np.ndarray, np.ndarray]


def _fit_type(
    events: HawkesEvents, pair: np.ndarray, e: int, pairs: int, starts: int, rng: np.random.Generator, shared: bool
) -> tuple[_End, bool]:
    """Minimise the negative log-likelihood of one type; return (value, base, impacts, decays) and convergence."""
    from scipy.optimize import minimize

    own = events.types == e
    rate = own.sum() / events.horizon
    busy = len(events.times) / events.horizon
    decays = 1 if shared else pairs
    gradient = np.empty(1 + 2 * pairs)

    def negative(logs: np.ndarray) -> tuple[float, np.ndarray]:
        values = np.exp(logs)
        decay = np.full(pairs, values[-1]) if shared else values[1 + pairs :]
        value = likelihood(values[0], values[1 : 1 + pairs], decay, events.times, pair, own, events.horizon, gradient)
        slope = gradient[: 1 + pairs]
        tail = gradient[1 + pairs :].sum(keepdims=True) if shared else gradient[1 + pairs :]
        return -value, -np.concatenate([slope, tail]) * values

    bounds = [(np.log(_FLOOR * rate), np.log(1e3 * rate))]
    bounds += [(np.log(_FLOOR * busy), np.log(1e4 * busy))] * pairs + [
        (np.log(1e-3 * busy), np.log(1e4 * busy))
    ] * decays
    best: tuple[float, np.ndarray, bool] | None = None
    for k in range(starts):
        decay = busy * 10 ** (0.5 * rng.standard_normal(decays)) if k else np.full(decays, busy)
        impact = 0.5 * rate / busy * decay / max(pairs, 1) * np.ones(pairs)
        start = np.log(np.concatenate([[0.5 * rate], impact, decay]))
        found = minimize(negative, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
        if best is None or found.fun < best[0]:
            best = float(found.fun), np.exp(found.x), bool(found.success)
    value, values, success = best if best is not None else (np.inf, np.ones(1 + pairs + decays), False)
    decay = np.full(pairs, values[-1]) if shared else values[1 + pairs :]
    return (value, float(values[0]), values[1 : 1 + pairs], decay), success


def _transitions(events: HawkesEvents, types: int, states: int) -> np.ndarray:
    """Count transitions, shape (states, types, states), as probabilities."""
    before = np.concatenate([[events.initial_state], events.states[:-1]]).astype(np.int64)
    code = (before * types + events.types) * states + events.states
    counts = np.bincount(code, minlength=states * types * states).reshape(states, types, states).astype(float)
    total = counts.sum(axis=2, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), 1 / states)
