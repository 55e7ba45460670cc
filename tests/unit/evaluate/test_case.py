"""A case knows its best model and rebuilds what the judgement was made from."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from marketprism.core.errors import DataError
from marketprism.evaluate.case import Case
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.judge import judge
from marketprism.evaluate.walkforward import prediction_frame, run_folds
from marketprism.models.scaler import FactorScaler


def test_the_best_model_has_the_largest_information_coefficient(case: Case) -> None:
    ics = {
        name: result.horizons[case.judgement.primary].metrics["ic"].value
        for name, result in case.judgement.models.items()
    }
    assert case.best == max(ics, key=lambda name: ics[name])
    assert len(ics) == 2


def test_walking_forward_again_gives_the_judged_predictions(case: Case) -> None:
    probabilities, base, fold, _ = run_folds(case.problem, case.estimator("loose"), case.splitter)
    again = prediction_frame(case.problem, probabilities, base, fold, "loose")
    assert again.equals(case.predictions("loose"))
    assert again.height > 500


def test_trading_again_gives_the_judged_equity(case: Case, panel_case: Case) -> None:
    for one in (case, panel_case):
        equity = one.judgement.models[one.best].horizons[one.judgement.primary].equity
        assert one.trading(one.best).equity().equals(equity)


def test_an_unknown_model_is_refused_with_a_hint(case: Case) -> None:
    with pytest.raises(DataError, match="logistc") as error:
        case.estimator("logistc")
    assert "logistic" in str(error.value)


def test_nothing_is_best_of_nothing(case: Case, make_tape: object) -> None:
    frame = case.frame.head(60)
    empty = Case(frame, judge(frame, case.judgement.config, instruments=case.instruments), case.instruments)
    assert empty.names == ()
    with pytest.raises(DataError, match="no model was judged"):
        _ = empty.best


def test_a_users_estimator_is_judged_in_place_of_the_baselines(case: Case) -> None:
    mine = make_pipeline(FactorScaler(5.0), LogisticRegression(C=0.003, max_iter=500, tol=1e-5))
    found = judge(
        case.frame,
        JudgeConfig(replications=100, control_repeats=3),
        instruments=case.instruments,
        models={"mine": mine},
    )
    assert list(found.models) == ["mine"]
    assert found.models["mine"].horizons[found.primary].metrics["ic"].star
    theirs = case.predictions("logistic")["score"].to_numpy()
    ours = found.predictions.filter(pl.col("horizon") == found.primary)["score"].to_numpy()
    assert np.allclose(ours, theirs, atol=1e-6, equal_nan=True)
