"""Multivariate Hawkes processes with exponential kernels, with or without a state (Morariu-Patrichi and Pakkanen).

An event of type e' that leaves the state at x raises the rate of type e by ``alpha[e', x, e] exp(-beta[e', x, e] t)``:

    lambda_e(t) = nu_e + sum_{T_n < t} alpha[E_n, X_n, e] exp(-beta[E_n, X_n, e] (t - T_n)),

and when an event of type e comes, the state x becomes x' with probability ``phi[x, e, x']``. With one state this is the
ordinary Hawkes process. Times are in seconds, rates a second.

Everything rests on the pairs s = (e', x): kernels work with ``alpha`` and ``beta`` of shape (pairs, types) and with the
pair of each event.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, DataError
from marketprism.core.random import stream
from marketprism.simulate.hawkes_kernel import compensators, simulate_events

__all__ = ["HawkesEvents", "HawkesParameters", "ResidualTest", "residual_test", "residuals", "simulate_hawkes"]

_FIRST_ROOM = 1 << 14

Rates = tuple[float, ...]
Cube = tuple[tuple[tuple[float, ...], ...], ...]


def _cube(values: np.ndarray) -> Cube:
    return tuple(tuple(tuple(float(v) for v in row) for row in plane) for plane in values)


class HawkesParameters(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a (state-dependent) Hawkes process of E event types and X states.

    Parameters
    ----------
    base : tuple of float, shape (E,)
        Base rates nu, a second.
    impact : nested tuples of float, shape (E, X, E)
        ``impact[e'][x][e]``: jump in the rate of e when e' leaves the state at x, a second.
    decay : nested tuples of float, shape (E, X, E)
        Exponential decay of that jump, a second.
    transition : nested tuples of float, shape (X, E, X)
        ``transition[x][e][x']``: probability that an event e takes the state from x to x'.

    Examples
    --------
    >>> one = HawkesParameters.from_arrays([0.5], [[0.8]], [[2.0]])
    >>> one.types, one.states, one.branching_ratio, one.mean_rates().round(3).tolist()
    (1, 1, 0.4, [0.833])
    """

    base: Rates
    impact: Cube
    decay: Cube
    transition: Cube

    def __post_init__(self) -> None:
        E = len(self.base)
        try:
            impact, decay, transition = (np.array(cube, float) for cube in (self.impact, self.decay, self.transition))
        except ValueError as error:
            raise ConfigError(f"Hawkes parameters were ragged: {error}", hint="give full rectangles") from error
        X = len(transition)
        shapes = impact.shape, decay.shape, transition.shape
        if E == 0 or X == 0 or shapes != ((E, X, E), (E, X, E), (X, E, X)):
            raise ConfigError(
                f"with {E} types and {X} states, shapes were impact {shapes[0]}, decay {shapes[1]}, "
                f"transition {shapes[2]}",
                hint=f"({E}, {X}, {E}) twice and ({X}, {E}, {X})",
            )
        base = np.array(self.base)
        if not (np.isfinite(base).all() and base.min() >= 0 and base.max() > 0 and np.isfinite(impact).all()):
            raise ConfigError(f"base rates were {self.base}", hint="finite, not negative, not all zero")
        if impact.min() < 0 or not (np.isfinite(decay).all() and decay.min() > 0):
            raise ConfigError("an impact was negative or a decay not positive", hint="impact >= 0, decay > 0")
        if transition.min() < 0 or np.abs(transition.sum(axis=2) - 1).max() > 1e-9:
            raise ConfigError("transition probabilities did not sum to 1", hint="each transition[x][e] is a law")
        if self._radius(worst=False) >= 1:
            raise ConfigError(f"branching ratio was {self._radius(worst=False):.3f}", hint="below 1, or events explode")

    @classmethod
    def from_arrays(
        cls, base: object, impact: object, decay: object, transition: object | None = None
    ) -> HawkesParameters:
        """Build from arrays; ``impact`` and ``decay`` of shape (E, E) (from, to) stand for a single state.

        ``transition`` may be left out when there is one state.
        """
        nu, alpha, beta = (np.asarray(value, float) for value in (base, impact, decay))
        if alpha.ndim == 2:
            alpha, beta = alpha[:, None, :], beta[:, None, :]
        phi = np.ones((1, len(nu), 1)) if transition is None else np.asarray(transition, float)
        return cls(base=tuple(nu.tolist()), impact=_cube(alpha), decay=_cube(beta), transition=_cube(phi))

    @property
    def types(self) -> int:
        """Event types E."""
        return len(self.base)

    @property
    def states(self) -> int:
        """States X."""
        return len(self.transition)

    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return base rates, and impact and decay by pair: shapes (E,), (E X, E), (E X, E); pair = e' X + x."""
        E = self.types
        return np.array(self.base), np.array(self.impact).reshape(-1, E), np.array(self.decay).reshape(-1, E)

    @property
    def branching_ratio(self) -> float:
        """Spectral radius of the matrix of children: exact for one state, else a bound (the worst state each time).

        Below 1 the process is stable. With several states it may be stable above 1; it is refused only where it
        explodes even in the best state each time.
        """
        return self._radius(worst=True)

    def _radius(self, *, worst: bool) -> float:
        return float(np.abs(np.linalg.eigvals(self._offspring(worst=worst))).max())

    def _offspring(self, *, worst: bool = True) -> np.ndarray:
        """Children of type e of an event e', averaged over the states it may leave; by the state before it."""
        jump = np.array(self.impact) / np.array(self.decay)  # (E, X, E)
        # The state left by e' has law phi[x, e', .].
        mean: np.ndarray = np.einsum("xfy,fye->xfe", np.array(self.transition), jump)
        return np.asarray(mean.max(axis=0) if worst else mean.min(axis=0))

    def mean_rates(self) -> np.ndarray:
        """Return stationary rates of a single-state process, shape (E,): (I - G^T)^-1 nu, a second.

        Raises
        ------
        ConfigError
            There are several states: no closed form.
        """
        if self.states > 1:
            raise ConfigError(f"there were {self.states} states", hint="mean rates have a closed form for one only")
        return np.linalg.solve(np.eye(self.types) - self._offspring().T, np.array(self.base))


class HawkesEvents(NamedTuple):
    """A realisation on [0, horizon].

    Attributes
    ----------
    times : float64 ndarray, shape (n,)
        Seconds, increasing.
    types : int64 ndarray, shape (n,)
        Event types.
    states : int64 ndarray, shape (n,)
        The state that each event left.
    horizon : float
        Length of the observation, seconds.
    initial_state : int
        The state before the first event.
    """

    times: np.ndarray
    types: np.ndarray
    states: np.ndarray
    horizon: float
    initial_state: int = 0

    def checked(self, parameters_types: int, states: int) -> HawkesEvents:
        """Return the events as the kernels want them.

        Raises
        ------
        DataError
            Times fall or leave [0, horizon], lengths differ, or a type or state is out of range.
        """
        times = np.ascontiguousarray(self.times, np.float64)
        types, after = (np.ascontiguousarray(column, np.int64) for column in (self.types, self.states))
        if not len(times) == len(types) == len(after):
            raise DataError(f"lengths were {len(times)}, {len(types)}, {len(after)}", hint="one entry an event")
        if len(times) and not (
            np.isfinite(times).all() and times[0] >= 0 and times[-1] <= self.horizon and (np.diff(times) >= 0).all()
        ):
            raise DataError("event times fall, or leave [0, horizon]", hint="sort them, seconds since the start")
        for name, column, top in (("type", types, parameters_types), ("state", after, states)):
            if len(column) and (column.min() < 0 or column.max() >= top):
                raise DataError(f"a {name} was {int(column.min())} or {int(column.max())}", hint=f"0 to {top - 1}")
        return HawkesEvents(times, types, after, float(self.horizon), int(self.initial_state))


def simulate_hawkes(parameters: HawkesParameters, horizon: float, *, seed: int, initial_state: int = 0) -> HawkesEvents:
    """Simulate on [0, horizon] by Ogata's thinning, exact for exponential kernels.

    Between events all rates fall, so that the rate after an event bounds those that follow.

    Parameters
    ----------
    parameters : HawkesParameters
        The process; it starts without a past.
    horizon : float
        Seconds.
    seed : int
        Seed of the streams.
    initial_state : int, default 0
        The state before the first event.

    Raises
    ------
    ConfigError
        A horizon that is not positive, or a state that is not there.

    References
    ----------
    Ogata, "On Lewis' simulation method for point processes", IEEE Transactions on Information Theory 27(1), 1981.
    Morariu-Patrichi and Pakkanen, "State-dependent Hawkes processes and their application to limit order book
    modelling", Quantitative Finance 22(3), 2022.

    Examples
    --------
    >>> poisson = HawkesParameters.from_arrays([2.0], [[0.0]], [[1.0]])
    >>> len(simulate_hawkes(poisson, 1000.0, seed=0).times) > 1800
    True
    """
    if not (np.isfinite(horizon) and horizon > 0) or not 0 <= initial_state < parameters.states:
        raise ConfigError(
            f"horizon was {horizon}, initial state {initial_state}",
            hint=f"a positive length and a state from 0 to {parameters.states - 1}",
        )
    base, impact, decay = parameters.pairs()
    ladder = np.cumsum(np.array(parameters.transition), axis=2)
    rng = stream(seed, "simulate", "hawkes")
    excitation = np.zeros_like(impact)
    clock = np.zeros(1)
    state = np.array([initial_state])
    room, parts = _FIRST_ROOM, []
    while True:
        times, types, states = np.empty(room), np.empty(room, np.int64), np.empty(room, np.int64)
        n = simulate_events(base, impact, decay, ladder, excitation, clock, state, horizon, rng, times, types, states)
        parts.append((times[:n], types[:n], states[:n]))
        if n < room:
            break
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return HawkesEvents(joined[0], joined[1], joined[2], float(horizon), initial_state)


def residuals(parameters: HawkesParameters, events: HawkesEvents) -> list[np.ndarray]:
    """Return, for each type, what its compensator grew by between its events: Exp(1) if the model is right.

    ``int_{T^e_{k-1}}^{T^e_k} lambda_e(t) dt`` with ``T^e_0 = 0``; no dimension. A type with n events has n residuals.

    References
    ----------
    Ogata, "Statistical models for earthquake occurrences and residual analysis for point processes", Journal of the
    American Statistical Association 83(401), 1988 (time change of Meyer and Papangelou).
    """
    events = events.checked(parameters.types, parameters.states)
    base, impact, decay = parameters.pairs()
    grown = compensators(base, impact, decay, events.times, events.types * parameters.states + events.states)
    return [np.diff(grown[events.types == e, e], prepend=0.0) for e in range(parameters.types)]


class ResidualTest(NamedTuple):
    """Kolmogorov-Smirnov test of residuals against Exp(1), by event type: statistics, p-values, counts."""

    statistics: tuple[float, ...]
    p_values: tuple[float, ...]
    counts: tuple[int, ...]


def residual_test(parameters: HawkesParameters, events: HawkesEvents) -> ResidualTest:
    """Test whether residuals are Exp(1); NaN for a type without events.

    With parameters fitted to the same events the p-values are slightly too large.
    """
    from scipy.stats import kstest

    found = []
    for values in residuals(parameters, events):
        test = kstest(values, "expon") if len(values) else None
        found.append((float(test.statistic), float(test.pvalue)) if test is not None else (np.nan, np.nan))
    counts = tuple(np.bincount(events.types, minlength=parameters.types).tolist())
    return ResidualTest(tuple(s for s, _ in found), tuple(p for _, p in found), counts)
