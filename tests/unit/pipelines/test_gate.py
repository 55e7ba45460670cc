"""The gate on run folders: sides opened and checked, measured on the packed model, page and ledger written."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from marketprism.cli.main import cli
from marketprism.core.errors import ConfigError, IntegrityError, MarketPrismError
from marketprism.models.size import model_size
from marketprism.pipelines.gate import EXIT_CODES, gate, load_adoption_config
from marketprism.pipelines.gate_measure import input_weights, measure_coverage, measure_latency
from marketprism.pipelines.gate_side import Side, check_comparable, open_side
from marketprism.pipelines.run import run
from marketprism.pipelines.run_config import load_run_config
from marketprism.pipelines.run_ledger import trial_config_hash
from marketprism.pipelines.sources import open_source
from marketprism.store.ledger import Ledger

SIM = "sim:?seed=1&minutes=12"
FAST = ("judge.replications=100", "judge.folds=2", "judge.control_repeats=3", "judge.horizons=[1_buckets]",
        "evidence.enabled=false", "engine.families=[level1,flow]", "engine.buckets.t_target_s=2")  # fmt: skip


def _run(out: Path, *settings: str, spec: str = SIM) -> Path:
    run(open_source(spec), out, load_run_config(settings=(*FAST, *settings)), fixed_duration=True)
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(tmp_path_factory.mktemp("gate") / "first")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(tmp_path_factory.mktemp("gate") / "second", "judge.models.logistic.inverse_penalty=1.0")


@pytest.fixture(scope="module")
def side(folder: Path) -> Side:
    return open_side(f"{folder}:lightgbm")


def test_a_run_without_evidence_is_a_trial_all_the_same(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    found = run(open_source(SIM), tmp_path / "out", load_run_config(settings=FAST), fixed_duration=True, ledger=ledger)
    models = sorted(known.trial.model for known in ledger.trials(found.summary["hashes"]["data"]))
    assert models == ["lightgbm", "logistic"]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


def test_a_side_is_a_folder_or_a_model_in_it(folder: Path, side: Side) -> None:
    assert side.model == "lightgbm"
    assert set(side.predictions["model"]) == {"lightgbm"}
    assert set(side.predictions["horizon"]) == {"1_buckets"}
    best = max(side.summary["models"], key=lambda name: side.summary["models"][name]["ic"]["value"])
    assert open_side(str(folder)).model == best
    assert open_side(f"{folder}:").model == best
    with pytest.raises(ConfigError, match="did you mean 'lightgbm'"):
        open_side(f"{folder}:lightgb")
    with pytest.raises(ConfigError, match="names no run folder"):
        open_side(f"{folder}-none:lightgbm")


@pytest.mark.parametrize(
    "name", ["predictions.parquet", "model/lightgbm/model.onnx", "summary.json", "factors.parquet"]
)
def test_tampered_files_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(IntegrityError, match=f"{Path(name).name}.*SHA-256"):
        open_side(f"{copy}:lightgbm")
    (copy / name).unlink()
    with pytest.raises(IntegrityError, match="missing"):
        open_side(f"{copy}:lightgbm")


def test_a_foreign_artefact_is_refused(folder: Path, second: Path, tmp_path: Path) -> None:
    """Artefact and manifest of another run do not pass, and neither does a pickle laid beside them."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "model/lightgbm/extra.pkl").write_bytes(b"x")
    with pytest.raises(IntegrityError, match=r"extra\.pkl"):
        open_side(f"{copy}:lightgbm")
    shutil.copy(second / "model/logistic/model.onnx", copy / "model/lightgbm/model.onnx")
    with pytest.raises(IntegrityError):
        open_side(f"{copy}:lightgbm")


def test_what_cannot_be_compared_is_refused(folder: Path, side: Side, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"both sides are 'lightgbm'.*name two models"):
        check_comparable(side, side)
    for facts, what in (
        ({"horizon": "3_buckets"}, "horizon"),
        ({"label_scheme": "per_second"}, "label scheme"),
        ({"bucket_policy": "other"}, "bucket policy"),
        ({"series": ("a", "b")}, "series"),
    ):
        other = replace(side, model="other", loaded=SimpleNamespace(manifest=side.loaded.manifest.replace(**facts)))
        with pytest.raises(ConfigError, match=f"the baseline's {what} is"):
            check_comparable(side, other)
    elsewhere = _run(tmp_path / "a", spec="sim:?seed=2&minutes=12")
    with pytest.raises(ConfigError, match="the baseline's data set is"):
        gate(f"{folder}:logistic", f"{elsewhere}:lightgbm")


def test_measured_on_the_packed_model(side: Side) -> None:
    from marketprism.models.features import feature_matrix

    X = feature_matrix(side.frame, side.loaded.manifest.factors)
    latency = measure_latency(side.loaded, X, calls=50, warm_up=5)
    assert 0 < latency.p50_ms <= latency.p99_ms < 1000
    assert (latency.calls, latency.warm_up) == (50, 5)
    weights = input_weights(side.loaded, X, 0)
    assert weights.shape == (len(side.loaded.manifest.factors),)
    assert (weights >= 0).all()
    assert (weights > 0).any()
    assert np.array_equal(weights, input_weights(side.loaded, X, 0))
    few, many = (measure_coverage(side.loaded, X, top, 0) for top in (1, 30))
    assert 0 <= few < many <= 1


def test_size_of_the_packed_model(side: Side, folder: Path) -> None:
    import onnx

    text = (folder / "model/lightgbm/model.onnx").read_bytes()
    trees = next(n for n in onnx.load_from_string(text).graph.node if n.op_type == "TreeEnsembleClassifier")
    modes = next(a for a in trees.attribute if a.name == "nodes_modes").strings
    assert (model_size(text).count, model_size(text).unit) == (list(modes).count(b"LEAF"), "leaves")
    line = model_size((folder / "model/logistic/model.onnx").read_bytes())
    width = len(side.loaded.manifest.factors)
    assert line.unit == "parameters"
    assert width < line.count <= 3 * (2 * width + 1)
    with pytest.raises(IntegrityError, match="no ONNX graph"):
        model_size(b"no graph")


def test_size_of_other_graphs() -> None:
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.array([[1.0, 0.0], [2.0, 3.0]], np.float32), "weight")
    center = numpy_helper.from_array(np.ones(2), "center")
    nodes = [helper.make_node("MatMul", ["x", "weight"], ["y"])]
    tensor = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "net", tensor[:1], tensor[1:], [weight, center])
    assert model_size(helper.make_model(graph).SerializeToString()).count == 3


def test_the_verdict_is_written(folder: Path, second: Path, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    result = gate(f"{folder}:logistic", f"{second}:logistic", out=tmp_path / "out", ledger=ledger)
    assert (result.adoption.baseline, result.adoption.candidate) == ("first:logistic", "second:logistic")
    found = json.loads((tmp_path / "out/gate.json").read_text())
    assert found["verdict"] == result.adoption.verdict
    assert found["exit_code"] == EXIT_CODES[result.adoption.verdict]
    assert found["sides"]["candidate"]["latency_ms"]["calls"] > 0
    assert any("different cost" in note for note in found["notes"]) is False
    page = (tmp_path / "out/gate.html").read_text()
    for text in (result.adoption.verdict, "Success card", "Signal decay", "first:logistic", "natural log", "not set"):
        assert text in page
    (known,) = ledger.trials(found["hashes"]["data"])
    assert known.trial.what == "gate"
    config = load_run_config(settings=(*FAST, "judge.models.logistic.inverse_penalty=1.0"))
    assert known.trial.config_hash == trial_config_hash(config)  # one trial together with its run
    assert known.trial.verdict.startswith(result.adoption.verdict)
    assert known.trial.ic == pytest.approx(result.adoption.ic.candidate.value)
    assert known.trial.annual_sharpe == pytest.approx(result.adoption.sharpe.candidate.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(MarketPrismError, match="could not be written"):
        gate(f"{folder}:logistic", f"{second}:logistic", out=tmp_path / "file" / "out")


def test_a_planted_winner_is_adopted_over_noise(folder: Path, tmp_path: Path) -> None:
    """The whole path can say ADOPT: the candidate's out-of-sample scores know the future, its costs are nothing."""
    import hashlib

    base, best = tmp_path / "base", tmp_path / "best"
    for copy, strength in ((base, 0.1), (best, 1.0)):
        shutil.copytree(folder, copy)
        config = json.loads((copy / "config.json").read_text())
        config["judge"]["costs"] |= {"fee_bps": 0.0, "half_spread_bps": 0.0, "latency_ms": 0.0}
        (copy / "config.json").write_text(json.dumps(config))
        table = pl.read_parquet(copy / "predictions.parquet")
        noise = np.random.default_rng(0).normal(size=table.height)
        move = (table["return"].fill_null(0.0) / table["return"].std()).to_numpy()
        table.with_columns(score=pl.Series(strength * move + noise)).write_parquet(copy / "predictions.parquet")
        manifest = json.loads((copy / "manifest.json").read_text())
        for name in ("config.json", "predictions.parquet"):
            content = (copy / name).read_bytes()
            manifest["files"][name] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        (copy / "manifest.json").write_text(json.dumps(manifest))
    options = ("--set", "psi=9", "--set", "min_coverage=0", "--set", "ic_ir=0.3", "--ledger", str(tmp_path / "l.db"))
    ready = call("gate", f"{base}:lightgbm", f"{best}:lightgbm", "--out", str(tmp_path / "o"), *options)
    assert ready.exit_code == 0, ready.output
    assert "ADOPT" in ready.output
    back = call("gate", f"{best}:lightgbm", f"{base}:lightgbm", "--json", *options)
    assert back.exit_code == EXIT_CODES["REJECT"]
    assert json.loads(back.output)["verdict"] == "REJECT"


def test_the_verb(folder: Path, tmp_path: Path) -> None:
    options = ("--ledger", str(tmp_path / "ledger.db"))
    shown = call("gate", f"{folder}:logistic", f"{folder}:lightgbm", "--out", str(tmp_path), *options)
    verdict = json.loads((tmp_path / "gate.json").read_text())["verdict"]
    assert shown.exit_code == EXIT_CODES[verdict]
    for text in ("baseline: logistic", "candidate: lightgbm", "Success card", verdict, "gate.html"):
        assert text in shown.output
    calm = call("gate", f"{folder}:logistic", f"{folder}:lightgbm", "--report-only", *options)
    assert calm.exit_code == 0
    with pytest.raises(ConfigError, match="did you mean 'min_gain'"):
        call("gate", str(folder), str(folder), "--set", "min_gian=1")
    for bad in ("min_gain", "=3", "min_gain=[1"):
        with pytest.raises(ConfigError, match="--set"):
            load_adoption_config((bad,))
