"""Controls pass on honest machinery and fail on dishonest machinery."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from marketprism.evaluate import JudgeConfig, PurgedWalkForward, suspected_leaks
from marketprism.evaluate.controls import (
    PLANTED,
    noise_control,
    permute_blocks,
    planted_leak_control,
    shuffled_label_control,
)
from marketprism.evaluate.walkforward import prepare
from marketprism.labels import make_labels
from marketprism.models import ModelConfig, build_model

CONFIG = JudgeConfig(replications=200)
SPLITTER = PurgedWalkForward(3)
MODEL = build_model(ModelConfig())


class Cheat(ClassifierMixin, BaseEstimator):
    """Ignores its training labels and reads the answer from the last factor."""

    def fit(self, X, y):
        self.classes_ = np.array([-1, 0, 1])
        return self

    def predict_proba(self, X):
        p_up = 1 / (1 + np.exp(-np.nan_to_num(X[:, -1]) * 1e3))
        return np.column_stack((1 - p_up, 0 * p_up, p_up))


class Deaf(Cheat):
    """Predicts a constant."""

    def predict_proba(self, X):
        return np.tile((0.3, 0.4, 0.3), (len(X), 1))


@pytest.fixture(scope="module")
def problem(make_tape):
    tape = make_tape(900)
    return prepare(tape, make_labels(tape), "1_buckets")


def test_honest_machinery_passes(problem):
    for control in (shuffled_label_control, planted_leak_control, noise_control):
        result = control(problem, MODEL, SPLITTER, CONFIG)
        assert result.passed, result.reason


def test_shuffled_labels_catch_a_model_that_knows_the_test(problem, make_tape):
    tape = make_tape(900)
    labels = make_labels(tape)
    tape = tape.with_columns(answer=labels.frame["return_1_buckets"])
    peeking = prepare(tape, labels, "1_buckets")
    result = shuffled_label_control(peeking, Cheat(), SPLITTER, CONFIG)
    assert not result.passed
    assert "test labels reach the training" in result.reason
    assert result.metric.low > 0


def test_shuffled_labels_with_a_constant_model(problem):
    result = shuffled_label_control(problem, Deaf(), SPLITTER, CONFIG)
    assert result.passed
    assert "constants" in result.reason


def test_planted_leak_is_named_and_honest_factors_are_not(problem):
    result = planted_leak_control(problem, MODEL, SPLITTER, CONFIG)
    assert result.named == (PLANTED,)
    assert result.metric.value > 0.6


def test_planted_leak_fails_when_the_model_cannot_see_it(problem):
    result = planted_leak_control(problem, Deaf(), SPLITTER, CONFIG)
    assert not result.passed
    assert "NOT above" in result.reason


def test_a_real_leak_is_reported_beside_the_planted_one(make_tape):
    tape = make_tape(900)
    labels = make_labels(tape)
    tape = tape.with_columns(tomorrow=labels.frame["return_1_buckets"] * 2 + 1)
    result = planted_leak_control(prepare(tape, labels, "1_buckets"), MODEL, SPLITTER, CONFIG)
    assert "ALSO SUSPECT: tomorrow" in result.reason
    assert set(result.named) == {PLANTED, "tomorrow"}


def test_noise_control_fails_on_a_model_that_peeks(problem):
    class Peek(Cheat):
        def predict_proba(self, X):
            rows = np.searchsorted(noise_rows, X[:, 0])
            p_up = np.where(np.nan_to_num(returns[rows]) > 0, 0.9, 0.1)
            return np.column_stack((1 - p_up, 0 * p_up, p_up))

    from marketprism.core.random import stream

    noise = stream(CONFIG.seed, "noise").standard_normal((len(problem.X), 5))[:, 0]
    order = np.argsort(noise)
    noise_rows, returns = noise[order], problem.returns[order]
    result = noise_control(problem, Peek(), SPLITTER, CONFIG)
    assert not result.passed
    assert "does NOT contain 0" in result.reason


def test_suspected_leaks_rank_and_sign():
    rng = np.random.default_rng(0)
    target = rng.standard_normal(500)
    X = np.column_stack(
        (-target, np.sign(target) * np.abs(target) ** 5, rng.standard_normal(500), np.full(500, np.nan))
    )
    found = suspected_leaks(X, ("minus", "warped", "honest", "empty"), target, 0.6)
    assert list(found) == ["minus", "warped"] or list(found) == ["warped", "minus"]
    assert found["minus"] == pytest.approx(-1, abs=0.02)
    assert suspected_leaks(X[:2], ("a", "b", "c", "d"), target[:2], 0.6) == {}


def test_permutation_keeps_the_shares_and_moves_the_rows():
    classes = np.repeat(np.array([-1, 0, 1], np.int8), 50)
    moved = permute_blocks(classes, 5, np.random.default_rng(0))
    assert sorted(moved) == sorted(classes)
    assert (moved != classes).any()
    assert (permute_blocks(classes[:3], 5, np.random.default_rng(0)) != 5).all()
