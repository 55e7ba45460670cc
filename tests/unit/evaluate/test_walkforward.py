"""Walk-forward: out-of-sample only, aligned, and indifferent to jobs and row order."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from marketprism.core.errors import DataError
from marketprism.evaluate import PurgedWalkForward, walk_forward
from marketprism.labels import LabelConfig, make_labels
from marketprism.models import ModelConfig, build_model

MODEL = build_model(ModelConfig())


class Recorder(ClassifierMixin, BaseEstimator):
    """Keeps what it was trained on."""

    seen: list = []  # noqa: RUF012

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        Recorder.seen.append((X.copy(), y.copy()))
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def test_trains_only_on_labels_known_before_the_test(make_tape):
    tape = make_tape(400).with_columns(row=pl.int_range(pl.len()).cast(pl.Float64))
    labels = make_labels(tape, LabelConfig(bucket_horizons=(5,)))
    Recorder.seen = []
    result = walk_forward(tape, labels, "5_buckets", Recorder(), PurgedWalkForward(4), factors=("row",))
    known = labels.view("5_buckets").label_known_ts
    assert len(Recorder.seen) == 4
    for (X, y), fold in zip(Recorder.seen, result.folds, strict=True):
        rows = X[:, 0].astype(int)
        assert (known[rows] < fold.test_start).all()
        assert (known[rows] > 0).all()
        assert rows.size == fold.train_rows
        assert (y == labels.view("5_buckets").classes[rows]).all()
        ready = labels.frame["class_5_buckets"].is_not_null().to_numpy() & (
            tape["ts_known"].to_numpy() < fold.test_start
        )
        assert fold.purged == ready.sum() - rows.size
    assert max(fold.purged for fold in result.folds) == 5


def test_predictions_table(make_tape):
    tape = make_tape(300).with_columns(mid_last=pl.when(pl.col("bucket_id") == 200).then(None).otherwise("mid_last"))
    labels = make_labels(tape, LabelConfig(bucket_horizons=(1,)))
    table = walk_forward(tape, labels, "1_buckets", MODEL, PurgedWalkForward(3), name="logit").predictions
    assert table["model"].unique().to_list() == ["logit"]
    assert table["fold"].unique().sort().to_list() == [0, 1, 2]
    assert table.height == 225
    invalid = table.filter(pl.col("bucket_id") == 200)
    assert invalid["score"].to_list() == [None]
    assert invalid["class"].to_list() == [None]
    sure = table.filter(pl.col("score").is_not_null())
    assert sure.height == 224
    assert sure.select(pl.sum_horizontal("p_down", "p_flat", "p_up")).to_series().to_numpy() == pytest.approx(1)
    assert table.select(pl.sum_horizontal("base_down", "base_flat", "base_up")).to_series().to_numpy() == pytest.approx(
        1
    )
    merged = table.join(labels.frame.select("bucket_id", "return_1_buckets", "class_1_buckets"), on="bucket_id")
    assert merged["return"].equals(merged["return_1_buckets"], null_equal=True)
    assert merged["class"].equals(merged["class_1_buckets"], null_equal=True)


def test_future_rows_change_no_earlier_prediction(make_tape):
    tape = make_tape(400)
    splitter = PurgedWalkForward(3)
    cut = tape["bucket_id"] >= 250
    other = tape.with_columns(signal=pl.when(cut).then(99.0).otherwise("signal"))
    first, second = (
        walk_forward(frame, make_labels(frame), "1_buckets", MODEL, splitter).predictions.filter(
            pl.col("bucket_id") < 250
        )
        for frame in (tape, other)
    )
    assert first.equals(second, null_equal=True)


def test_row_order_and_jobs_do_not_matter(make_tape):
    tape = pl.concat([make_tape(300), make_tape(300, seed=1, symbol="ETH-USDT", volatility=2e-3)])
    shuffled = tape.sample(fraction=1.0, shuffle=True, seed=3)
    model = build_model(ModelConfig(), by_series=True)
    results = [
        walk_forward(frame, make_labels(frame), "3_buckets", model, PurgedWalkForward(3), jobs=jobs)
        for frame, jobs in ((tape, 1), (shuffled, 1), (tape, 2))
    ]
    for result in results[1:]:
        assert results[0].predictions.equals(result.predictions, null_equal=True)
        assert results[0].folds == result.folds


def test_one_class_in_training_predicts_base_rates(make_tape):
    tape = make_tape(300).with_columns(mid_last=pl.lit(100.0))
    result = walk_forward(tape, make_labels(tape), "1_buckets", MODEL, PurgedWalkForward(2))
    assert all("one class" in fold.note for fold in result.folds)
    assert (result.predictions["p_flat"] == result.predictions["base_flat"]).all()
    assert (result.predictions["score"] == 0).all()


def test_rolling_counts_what_the_purge_took(make_tape):
    tape = make_tape(400)
    labels = make_labels(tape, LabelConfig(bucket_horizons=(5,)))
    result = walk_forward(tape, labels, "5_buckets", MODEL, PurgedWalkForward(3, window="rolling"))
    assert all(0 < fold.purged <= 5 for fold in result.folds)
    assert max(fold.train_rows for fold in result.folds) < 101


def test_labels_of_another_frame_are_refused(make_tape):
    with pytest.raises(DataError, match="labels have 300 rows, the frame 200"):
        walk_forward(make_tape(200), make_labels(make_tape(300)), "1_buckets", MODEL)
