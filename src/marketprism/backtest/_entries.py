"""The engine's entries: kernels that the record of an engine holds the addresses of."""

from __future__ import annotations

from functools import cache

from marketprism.backtest import _fills, _margin, _requests, _risk, _send, _steps
from marketprism.backtest._calls import SIGNATURES
from marketprism.backtest._exchange import run_exchange
from marketprism.backtest._local import run_local
from marketprism.backtest._strict import run_strict
from marketprism.backtest.config import Mode
from marketprism.core.kernels import address

__all__ = ["entries"]

_BOTH = {
    "step": _steps.step,
    "step_to_feed": _steps.step_to_feed,
    "local": run_local,
    "watch": _risk.watch,
    "order": _risk.new_order,
    "cancel": _send.send_cancel,
    "modify": _risk.new_terms,
    "stop_lane": _risk.stop_lane,
}
_OF_MODE = {
    "compat": {"exchange": run_exchange},
    "strict": {
        "exchange": run_strict,
        "serve": _requests.serve,
        "liquidate": _margin.liquidate,
        "execute": _fills.execute,
        "reply": _fills.reply,
    },
}


@cache
def entries(mode: Mode) -> dict[str, int]:
    """Return the addresses of a mode's entries by name; the first time they are compiled, or read from the cache."""
    return {name: address(kernel, SIGNATURES[name]) for name, kernel in {**_OF_MODE[mode], **_BOTH}.items()}
