"""The run ledger between the pure judgement and its file: write what was tried, read what must be deflated by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from marketprism.core.config import config_hash
from marketprism.core.errors import ConfigError
from marketprism.core.timebase import format_ns
from marketprism.evaluate.case import Case
from marketprism.evaluate.sharpe import expected_maximum_sharpe
from marketprism.evaluate.trials import Trials, trial_results
from marketprism.pipelines.run_config import RunConfig
from marketprism.store.ledger import DataSet, Ledger, RecordedTrial, Trial

__all__ = [
    "conclude_run",
    "describe_data_set",
    "describe_ledger",
    "matching_data_sets",
    "record_run",
    "trial_config_hash",
    "trials_on",
]


def trial_config_hash(config: RunConfig | Mapping[str, Any]) -> str:
    """Hash what can change the outcome of a trial: the configuration (or its plain data) without the number of jobs.

    Examples
    --------
    >>> from marketprism.pipelines.run_config import load_run_config
    >>> one, two, other = (load_run_config(settings=[text]) for text in ("judge.jobs=1", "judge.jobs=2", "seed=1"))
    >>> trial_config_hash(one) == trial_config_hash(two), trial_config_hash(one) == trial_config_hash(other)
    (True, False)
    """
    values = config.to_mapping() if isinstance(config, RunConfig) else dict(config)
    values["judge"] = {name: value for name, value in values["judge"].items() if name != "jobs"}
    return config_hash(values)


def record_run(
    ledger: Ledger, case: Case, hashes: Mapping[str, str], source: str, when: int, *, what: str = "run"
) -> Trials:
    """Write every model and horizon of a judgement to the ledger and return all trials on its data set, these included.

    Parameters
    ----------
    ledger : Ledger
        Where to.
    case : Case
        What was judged; without models nothing is written.
    hashes : mapping of str to str
        ``data``, ``config``, ``factors`` and ``code``, as in ``summary.json``; for ``config`` better
        :func:`trial_config_hash`.
    source : str
        Text of the source.
    when : int
        Time of the evaluation, ns UTC.
    what : str, default "run"
        Kind of evaluation.

    Raises
    ------
    StoreError
        The ledger cannot be written.
    """
    trials = [
        Trial(
            data_hash=hashes["data"],
            config_hash=hashes["config"],
            factor_hash=hashes["factors"],
            code_version=hashes["code"],
            model=one.model,
            horizon=one.horizon,
            what=what,
            source=source,
            n=one.n,
            ic=one.ic,
            sharpe=one.sharpe,
            periods_per_year=one.periods_per_year,
            net_bps=one.net_bps,
        )
        for one in trial_results(case)
    ]
    if trials:
        ledger.record(trials, when)
    return trials_on(ledger, hashes["data"])


def trials_on(ledger: Ledger, data_hash: str) -> Trials:
    """Return how much was ever tried on a data set.

    Raises
    ------
    StoreError
        The ledger cannot be read.
    """
    found = next((one for one in ledger.data_sets() if one.data_hash == data_hash), None)
    if found is None:
        return Trials(0, math.nan, 0)
    return Trials(found.trials, found.sharpe_variance, found.measured, since=found.first)


def conclude_run(ledger: Ledger, hashes: Mapping[str, str], verdict: str, *, what: str = "run") -> None:
    """Write the verdict on the trials that :func:`record_run` wrote, once it is known.

    Raises
    ------
    StoreError
        The ledger cannot be written.
    """
    ledger.conclude(hashes["data"], hashes["config"], verdict, what)


def matching_data_sets(ledger: Ledger, data: str = "", source: str = "") -> list[DataSet]:
    """Return data sets by the beginning of their hash or by a part of their source text; all of them by default.

    Raises
    ------
    ConfigError
        None of those in the ledger matches.
    StoreError
        The ledger cannot be read.
    """
    known = ledger.data_sets()
    found = [one for one in known if one.data_hash.startswith(data) and source in one.source]
    if known and not found:
        given = f"data set was {data!r}" if data else f"source was {source!r}"
        raise ConfigError(
            given, hint="give the beginning of a hash, or a part of a source, that `marketprism ledger` lists"
        )
    return found


def describe_ledger(found: Sequence[DataSet]) -> list[dict[str, Any]]:
    """Return data sets as plain data.

    ``luckiest_sharpe`` is the annual Sharpe ratio that the best of so many trials is expected to show without skill.
    """
    return [
        {
            **_plain(asdict(one)),
            "luckiest_sharpe": expected_maximum_sharpe(one.trials, one.sharpe_variance) if one.measured > 1 else None,
        }
        for one in found
    ]


def describe_data_set(found: Sequence[RecordedTrial]) -> list[dict[str, Any]]:
    """Return the trials on a data set as plain data."""
    return [
        _plain(
            {
                **asdict(known.trial),
                "annual_sharpe": known.trial.annual_sharpe,
                "first": known.first,
                "last": known.last,
                "times": known.times,
            }
        )
        for known in found
    ]


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """NaN becomes None, and times become texts."""

    def one(name: str, value: Any) -> Any:
        if name in {"first", "last"}:
            return format_ns(value)
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {name: one(name, value) for name, value in values.items()}
