"""Compiled loops of Hawkes processes: thinning, likelihood with gradient, compensators.

``pair`` is e' X + x: the type of an event and the state it left. The sum ``R[s] = sum exp(-beta[s] (t - T_n))`` over
past events of pair s moves from event to event by one multiplication, so that everything is linear in the number of
events.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from marketprism.simulate.ring import exponential

__all__ = ["compensators", "likelihood", "simulate_events"]


@njit(cache=True)
def simulate_events(
    base: np.ndarray,
    impact: np.ndarray,
    decay: np.ndarray,
    ladder: np.ndarray,
    excitation: np.ndarray,
    clock: np.ndarray,
    state: np.ndarray,
    horizon: float,
    rng: np.random.Generator,
    times: np.ndarray,
    types: np.ndarray,
    states: np.ndarray,
) -> int:
    """Fill the outputs by Ogata thinning until they are full or ``horizon`` is reached; return the events written.

    ``excitation`` (pairs, types), ``clock`` and ``state`` (one entry each) carry the process on to the next call;
    ``ladder`` holds running sums of transition probabilities, shape (states, types, states).
    """
    pairs, kinds = impact.shape
    n = 0
    now = clock[0]
    while n < len(times):
        bound = 0.0
        for e in range(kinds):
            bound += base[e]
            for s in range(pairs):
                bound += excitation[s, e]
        wait = exponential(rng) / bound
        now += wait
        if now > horizon:
            break
        at = rng.random() * bound
        chosen = -1
        for e in range(kinds):
            at -= base[e]
            for s in range(pairs):
                excitation[s, e] *= math.exp(-decay[s, e] * wait)
                at -= excitation[s, e]
            if at < 0.0 and chosen < 0:
                chosen = e
        if chosen < 0:
            continue  # thinned: the rates have fallen below the bound
        law = ladder[state[0], chosen]
        after = min(int(np.searchsorted(law, rng.random(), side="right")), len(law) - 1)
        state[0] = after
        pair = chosen * len(law) + after
        for e in range(kinds):
            excitation[pair, e] += impact[pair, e]
        times[n], types[n], states[n] = now, chosen, after
        n += 1
    clock[0] = now
    return n


@njit(cache=True)
def likelihood(
    base: float,
    impact: np.ndarray,
    decay: np.ndarray,
    times: np.ndarray,
    pair: np.ndarray,
    own: np.ndarray,
    horizon: float,
    gradient: np.ndarray,
) -> float:
    """Return the log-likelihood of one event type and fill its gradient.

    ``sum_{own} log lambda(T_n) - int_0^horizon lambda``; ``impact`` and ``decay`` have shape (pairs,), ``own`` marks
    the events of the type, ``gradient`` has shape (1 + 2 pairs,): base, impacts, decays.
    """
    pairs = len(impact)
    gradient[:] = 0.0
    sums, weighted = np.zeros(pairs), np.zeros(pairs)
    value = -base * horizon
    gradient[0] = -horizon
    last = 0.0
    for i in range(len(times)):
        wait = times[i] - last
        last = times[i]
        rate = base
        for s in range(pairs):
            fade = math.exp(-decay[s] * wait)
            weighted[s] = fade * (weighted[s] + wait * sums[s])
            sums[s] *= fade
            rate += impact[s] * sums[s]
        if own[i]:
            value += math.log(rate)
            gradient[0] += 1.0 / rate
            for s in range(pairs):
                gradient[1 + s] += sums[s] / rate
                gradient[1 + pairs + s] -= impact[s] * weighted[s] / rate
        s = pair[i]
        sums[s] += 1.0
        left = horizon - times[i]
        fade = math.exp(-decay[s] * left)
        whole = (1.0 - fade) / decay[s]
        value -= impact[s] * whole
        gradient[1 + s] -= whole
        gradient[1 + pairs + s] += impact[s] * (whole - left * fade) / decay[s]
    return value


@njit(cache=True)
def compensators(
    base: np.ndarray, impact: np.ndarray, decay: np.ndarray, times: np.ndarray, pair: np.ndarray
) -> np.ndarray:
    """Return the integrals of all rates from 0 to each event, shape (n, types)."""
    pairs, kinds = impact.shape
    out = np.empty((len(times), kinds))
    excitation = np.zeros((pairs, kinds))
    grown = np.zeros(kinds)
    last = 0.0
    for i in range(len(times)):
        wait = times[i] - last
        last = times[i]
        for e in range(kinds):
            grown[e] += base[e] * wait
            for s in range(pairs):
                fade = math.exp(-decay[s, e] * wait)
                grown[e] += excitation[s, e] * (1.0 - fade) / decay[s, e]
                excitation[s, e] *= fade
            out[i, e] = grown[e]
        for e in range(kinds):
            excitation[pair[i], e] += impact[pair[i], e]
    return out
