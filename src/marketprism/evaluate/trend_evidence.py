"""Can trend states be told as they happen? Causal state machine and jump models on a frame, and the gates they meet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.core.random import stream
from marketprism.evaluate.case import Case
from marketprism.labels.forward import series_rows
from marketprism.labels.state_inputs import bucket_returns, stretches
from marketprism.labels.state_quality import NO_STATE, StateGates, StateQuality, state_quality

if TYPE_CHECKING:
    import polars as pl

    from marketprism.labels.trend_states import TrendStates

__all__ = ["STATE_METHODS", "TrendEvidence", "TrendEvidenceConfig", "assess_trend_states"]

STATE_METHODS = {
    "rules": ("rules", 2),
    "jump 2": ("jump", 2),
    "jump 3": ("jump", 3),
    "sparse jump 2": ("sparse_jump", 2),
    "hmm 2": ("hmm", 2),
}
"""Names of labellings: the method and the number of states; ``rules`` is the fall-back."""


class TrendEvidenceConfig(Config, frozen=True):
    """Which labellings are tried, and what is capped.

    Parameters
    ----------
    methods : tuple of str
        Of ``STATE_METHODS``, in order of preference; ``rules`` is always tried, as the fall-back.
    gates : StateGates
        What a labelling must reach.
    jump_penalty : float
        Of the jump models; tune it by walk-forward with ``TrendStates(jump_penalty="auto")``.
    refits : int
        Fits of each labelling, each on all rows before the stretch that it labels.
    max_rows : int
        Last rows of a series that are used.
    max_series : int
        Series that are labelled, in the order of their names.
    shifts : int
        Random shifts of the states against the returns, for what the forward IC does by chance.
    """

    methods: tuple[str, ...] = ("jump 2",)
    gates: StateGates = msgspec.field(default_factory=StateGates)
    jump_penalty: float = 50.0
    refits: int = 3
    max_rows: int = 1500
    max_series: int = 2
    shifts: int = 100

    def __post_init__(self) -> None:
        for name in self.methods:
            if name not in STATE_METHODS:
                raise ConfigError(f"method was {name!r}", hint=did_you_mean(name, list(STATE_METHODS)))
        for name, low in (("refits", 1), ("max_rows", 100), ("max_series", 1), ("shifts", 20)):
            if getattr(self, name) < low:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint=f"it must be at least {low}")
        if not self.jump_penalty >= 0:
            raise ConfigError(f"jump_penalty was {self.jump_penalty}", hint="it must be at least 0")


@dataclass(frozen=True)
class TrendEvidence:
    """What trend states are worth on this frame.

    Attributes
    ----------
    table : polars.DataFrame
        One row per series and labelling: ``series``, ``method``, ``rows``, ``flips_per_100``, ``mean_dwell``,
        ``p90_dwell``, ``share_down``, ``share_neutral``, ``share_up``, ``ic_1``, ``ic_2``, ``ic_3`` (rank correlation
        of the state with the return of the next 1 to 3 buckets), ``mean_ic``, ``ic_null`` (95 % quantile of the mean
        IC with the states shifted in time), ``passed`` and ``reasons`` (gates that failed).
    in_use : dict of str to str
        For each series, the labelling to use: the first that passed, else ``rules``. A labelling that could not be
        fitted has no row; ``notes`` say so.
    states : polars.DataFrame
        ``series``, ``method``, ``ts`` (``ts_known``, ns UTC), ``mid`` and ``state`` (-1, 0, 1, null) of every row
        labelled.
    gates : StateGates
        The gates.
    notes : tuple of str
        Fall-backs taken, and what was capped.
    """

    table: pl.DataFrame
    in_use: dict[str, str]
    states: pl.DataFrame
    gates: StateGates
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Plain data: the table, the labelling in use, and the gates."""
        return {
            "labellings": self.table.to_dicts(),
            "in_use": dict(self.in_use),
            "gates": self.gates.to_mapping(),
            "notes": list(self.notes),
        }


def assess_trend_states(case: Case, config: TrendEvidenceConfig | None = None) -> TrendEvidence:
    """Label a frame with trend states as they would have been known live, and hold them against their gates.

    Parameters
    ----------
    case : Case
        Its frame is labelled; no judged model is needed.
    config : TrendEvidenceConfig, optional
        Labellings, gates and caps.

    Returns
    -------
    TrendEvidence
        Without rows where every series is too short; ``notes`` then says so.

    Notes
    -----
    Every state comes from a model fitted on earlier rows and filtered online. Inputs are those of
    :func:`~marketprism.labels.trend_inputs`, per second. A jump model costs about half a millisecond a row and fit:
    ``max_rows``, ``max_series`` and ``refits`` cap it.
    """
    import polars as pl

    config = config or TrendEvidenceConfig()
    groups, notes = series_rows(case.frame), []
    chosen = dict(list(groups.items())[: config.max_series])
    if len(chosen) < len(groups):
        notes.append(f"states of {len(chosen)} of {len(groups)} series only")
    tables: list[dict[str, Any]] = []
    states: list[pl.DataFrame] = []
    in_use: dict[str, str] = {}
    for key, rows in chosen.items():
        name = ":".join(key)
        if rows.size > config.max_rows:
            notes.append(f"{name}: the last {config.max_rows:,} of {rows.size:,} buckets only")
        part = case.frame[rows[-config.max_rows :]]
        found = list(_labelled(part, name, config, case.judgement.config.seed, notes))
        tables += [row for row, _ in found]
        states += [frame for _, frame in found]
        if found:
            in_use[name] = _choose([row for row, _ in found], notes)
    table = pl.DataFrame(tables, schema=_schema())
    empty = {"series": pl.String, "method": pl.String, "ts": pl.Int64, "mid": pl.Float64, "state": pl.Int8}
    return TrendEvidence(
        table, in_use, pl.concat([pl.DataFrame(schema=empty), *states]), config.gates, tuple(dict.fromkeys(notes))
    )


def _model(name: str, config: TrendEvidenceConfig, seed: int) -> TrendStates:
    from marketprism.labels.trend_states import TrendStates

    method, n_states = STATE_METHODS[name]
    # The quality that counts is measured here, out of sample: the inner one is kept as short as it gets.
    return TrendStates(
        method,  # type: ignore[arg-type]
        n_states,
        config.jump_penalty,
        gates=config.gates,
        refuse=False,
        folds=1,
        n_init=1,
        seed=seed,
    )


def _labelled(
    part: pl.DataFrame, series: str, config: TrendEvidenceConfig, seed: int, notes: list[str]
) -> Iterator[tuple[dict[str, Any], pl.DataFrame]]:
    import polars as pl

    from marketprism.labels.state_frames import walk_forward_states

    returns, numbers = bucket_returns(part), stretches(part)
    for name in dict.fromkeys((*config.methods, "rules")):
        found = walk_forward_states(part, _model(name, config, seed), refits=config.refits)
        quality = found.quality[series]
        if not quality.rows:
            reasons = "; ".join(found.refusals[series]) or "no complete row"
            notes.append(f"{series}, {name}: no states ({reasons})")
            continue
        fits = found.methods[series]
        stood_in = fits.count("rules") if name != "rules" else 0
        if stood_in == len(fits):
            notes.append(f"{series}, {name}: could not be fitted ({'; '.join(dict.fromkeys(found.refusals[series]))})")
            continue
        if stood_in:
            notes.append(f"{series}, {name}: the state machine stood in for {stood_in} of {len(fits)} fits that failed")
        null = _null_ic(found.codes, returns, numbers, config.shifts, seed)
        frame = part.select(
            pl.lit(series).alias("series"),
            pl.lit(name).alias("method"),
            pl.col("ts_known").cast(pl.Int64).alias("ts"),
            pl.col("mid_last").cast(pl.Float64).alias("mid"),
        ).with_columns(found.frame["state"])
        yield _row(series, name, quality, null, config.gates), frame


def _row(series: str, method: str, quality: StateQuality, null: float, gates: StateGates) -> dict[str, Any]:
    failures = quality.failures(gates)
    numbers = {
        "flips_per_100": quality.flips_per_100,
        "mean_dwell": quality.mean_dwell,
        "p90_dwell": quality.p90_dwell,
        **{f"share_{name}": share for name, share in quality.shares.items()},
        **{f"ic_{steps}": value for steps, value in quality.forward_ic.items()},
        "mean_ic": quality.mean_ic,
        "ic_null": null,
    }
    return {
        "series": series,
        "method": method,
        "rows": quality.rows,
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "passed": not failures,
        "reasons": "; ".join(failures),
    }


def _null_ic(
    states: npt.NDArray[np.int64],
    returns: npt.NDArray[np.float64],
    numbers: npt.NDArray[np.int64],
    shifts: int,
    seed: int,
) -> float:
    """95 % quantile of the mean forward IC with the known states turned round in time: their runs stay as they are."""
    known = np.flatnonzero(states != NO_STATE)
    if known.size < 20:
        return math.nan
    random, values = stream(seed, "trend evidence", "shifts"), []
    for shift in random.integers(known.size // 10 + 1, known.size - known.size // 10, shifts).tolist():
        moved = states.copy()
        moved[known] = np.roll(states[known], shift)
        values.append(state_quality(moved, returns, numbers).mean_ic)
    finite = [value for value in values if math.isfinite(value)]
    return float(np.quantile(finite, 0.95)) if finite else math.nan


def _choose(rows: list[dict[str, Any]], notes: list[str]) -> str:
    for row in rows:
        if row["passed"]:
            return str(row["method"])
        if row["method"] != "rules":
            notes.append(f"{row['series']}: {row['method']} is refused ({row['reasons']})")
    last = rows[-1]
    if last["method"] == "rules":
        notes.append(f"{last['series']}: the state machine is the fall-back, and fails too ({last['reasons']})")
    return "rules"


def _schema() -> dict[str, Any]:
    import polars as pl

    numbers = (
        "flips_per_100",
        "mean_dwell",
        "p90_dwell",
        "share_down",
        "share_neutral",
        "share_up",
        "ic_1",
        "ic_2",
        "ic_3",
        "mean_ic",
        "ic_null",
    )
    keys = {"series": pl.String, "method": pl.String, "rows": pl.Int64}
    return {**keys, **dict.fromkeys(numbers, pl.Float64), "passed": pl.Boolean, "reasons": pl.String}
