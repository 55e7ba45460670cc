"""Published numbers, reproduced by this installation: every module here that defines ORACLES adds to the table."""

from __future__ import annotations

from marketprism.pipelines.selfcheck.registry import CheckResult, Oracle, oracles, run_selfcheck

__all__ = ["CheckResult", "Oracle", "oracles", "run_selfcheck"]
