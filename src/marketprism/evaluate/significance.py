"""Luck or skill: track records deflated by the number of trials, tests over all models, and factors that survive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.core.random import child_seed
from marketprism.evaluate.case import Case
from marketprism.evaluate.economics import trade
from marketprism.evaluate.many_tests import (
    Superiority,
    factor_survival,
    forecast_tests,
    information_tests,
    superiority,
)
from marketprism.evaluate.track_record import TrackRecord, drawdown_by_period, track_record
from marketprism.evaluate.trials import TrialResult, Trials, trial_results

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Significance",
    "SignificanceConfig",
    "Superiority",
    "TrialResult",
    "Trials",
    "assess_significance",
    "trial_results",
]


class SignificanceConfig(Config, frozen=True):
    """How significance is assessed; replications and level of intervals are those of the judgement.

    Parameters
    ----------
    loss : {"log", "brier"}
        Loss by which forecasts are compared: minus the log of the probability of the class that came (floored at
        1e-6), or the squared error of all three probabilities.
    alpha : float
        Adjusted p-values at or below this survive.
    confidence : float
        That the minimum track record must reach.
    max_pairs : int
        Most pairs of models that are compared; beyond it only pairs with the first model and with the base rates are.
    """

    loss: Literal["log", "brier"] = "log"
    alpha: float = 0.05
    confidence: float = 0.95
    max_pairs: int = 45

    def __post_init__(self) -> None:
        for name, low in (("alpha", 0.0), ("confidence", 0.5)):
            if not low < getattr(self, name) < 1:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint=f"it must lie between {low:g} and 1")
        if self.max_pairs < 1:
            raise ConfigError(f"max_pairs was {self.max_pairs}", hint="use at least 1")


@dataclass(frozen=True)
class Significance:
    """Whether what was found is more than luck; all of it at the primary horizon unless said otherwise.

    Attributes
    ----------
    config : SignificanceConfig
        What was asked for.
    trials : Trials
        By whose number Sharpe ratios were deflated.
    records : tuple of TrackRecord
        One per model.
    against_nothing, against_baseline : Superiority
        Reality Check and SPA over all models on net returns per period.
    forecasts : polars.DataFrame
        Diebold-Mariano test of each pair of models, and of each with the base rates: ``first, second, n, lags,
        gain, statistic, p_value, holm, better``. ``gain`` is the mean loss of the first less that of the
        second; ``better`` names the one that wins at ``alpha`` after Holm's adjustment, else it is empty.
    information : polars.DataFrame
        IC of each model at each horizon: ``model, horizon, ic, low, high, n, p_value, bonferroni, holm,
        benjamini_hochberg, note``, adjusted for all rows.
    factors : polars.DataFrame
        How many factors survive, by horizon and over ``all``: ``horizon, tested, by_luck, unadjusted,
        benjamini_hochberg, holm, bonferroni``. ``by_luck`` is the number that pure noise is expected to pass
        unadjusted. Few samples never survive.
    best_factors : polars.DataFrame
        The smallest p-values: ``factor, horizon, ic, n, p_value, benjamini_hochberg, holm, note``.
    drawdown_unit : str
        ``"month"`` or ``"day"``; empty where the data are shorter.
    drawdowns : polars.DataFrame
        ``model, period, n, net_bps, drawdown_bps``.
    notes : tuple of str
        What to be warned of, in plain words.
    """

    config: SignificanceConfig
    trials: Trials
    records: tuple[TrackRecord, ...]
    against_nothing: Superiority
    against_baseline: Superiority
    forecasts: pl.DataFrame
    information: pl.DataFrame
    factors: pl.DataFrame
    best_factors: pl.DataFrame
    drawdown_unit: str
    drawdowns: pl.DataFrame
    notes: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Plain data for JSON; NaN becomes None, factors are counts only."""

        def rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
            return frame.to_dicts()

        def test(found: Superiority) -> dict[str, Any]:
            return {
                name: (value if math.isfinite(value) else None) if isinstance(value, float) else value
                for name, value in found._asdict().items()
            }

        return {
            "trials": self.trials.summary(),
            "models": {record.model: record.summary() for record in self.records},
            "against_nothing": test(self.against_nothing),
            "against_baseline": test(self.against_baseline),
            "forecasts": rows(self.forecasts),
            "information": rows(self.information),
            "factors": rows(self.factors),
            "drawdown_unit": self.drawdown_unit,
            "drawdowns": rows(self.drawdowns),
            "notes": list(self.notes),
        }


def assess_significance(
    case: Case, trials: Trials | None = None, config: SignificanceConfig | None = None
) -> Significance:
    """Ask of everything in a judgement whether it could be luck.

    Parameters
    ----------
    case : Case
        With or without models.
    trials : Trials, optional
        Everything ever tried on the data set, this judgement included, from the run ledger. Without it only the
        models and horizons of this judgement count, and the notes say so.
    config : SignificanceConfig, optional
        What to do.

    Returns
    -------
    Significance
        Never fails for want of samples: numbers are NaN then, and the notes say why.

    Examples
    --------
    >>> assess_significance(case).factors  # doctest: +SKIP
    """
    config = config or SignificanceConfig()
    own = Trials.of(trial_results(case))
    notes = []
    if trials is None and case.names:
        notes.append(
            f"the run ledger was not used: counted are the trials of this judgement alone ({own.count}: models times "
            "horizons), not what was tried on these data before"
        )
    elif trials is not None and trials.count < own.count:
        notes.append(
            f"the run ledger knew {trials.count} trials, this judgement alone made {own.count}: the larger counts"
        )
        trials = own
    trials = trials or own
    seed = child_seed(case.judgement.config.seed, "significance")
    records = tuple(_record(case, name, trials, config, seed) for name in case.names)
    forecasts, note = forecast_tests(case, config.loss, config.alpha, config.max_pairs)
    notes += [note] if note else []
    unit, falls = _drawdowns(case)
    if case.names and not unit:
        notes.append("the data lie within one day: there are no monthly or daily drawdowns to show")
    if not case.names:
        notes.append(
            next((note for note in case.judgement.notes if "no model was judged" in note), "no model was judged")
        )
    factors, best = factor_survival(case, config.alpha)
    return Significance(
        config=config,
        trials=trials,
        records=records,
        against_nothing=superiority(case, "", seed),
        against_baseline=superiority(case, case.names[0] if case.names else "", seed),
        forecasts=forecasts,
        information=information_tests(case),
        factors=factors,
        best_factors=best,
        drawdown_unit=unit,
        drawdowns=falls,
        notes=tuple(dict.fromkeys(notes)),
    )


def _record(case: Case, name: str, trials: Trials, config: SignificanceConfig, seed: int) -> TrackRecord:
    judged = case.judgement.config
    parts = trade(case.predictions(name), case.executions, judged.costs)
    return track_record(
        name,
        parts,
        trials,
        overlap=case.overlap,
        confidence=config.confidence,
        replications=judged.replications,
        level=judged.level,
        seed=seed,
    )


def _drawdowns(case: Case) -> tuple[str, pl.DataFrame]:
    import polars as pl

    found = [drawdown_by_period(case.trading(name)) for name in case.names]
    tables = [
        table.select(pl.lit(name).alias("model"), pl.all()) for name, (_, table) in zip(case.names, found, strict=True)
    ]
    if not tables:
        schema = {"model": pl.String, "period": pl.String, "n": pl.Int64, "net_bps": pl.Float64}
        return "", pl.DataFrame(schema={**schema, "drawdown_bps": pl.Float64})
    return found[0][0], pl.concat(tables)
