"""The engine: markets, accounts and the clock, and the loop that runs a strategy over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from marketprism.backtest._build import build_ledgers, build_limits, build_rules
from marketprism.backtest._entries import entries
from marketprism.backtest._layout import (
    ACCOUNT_DTYPE,
    CLOCK_DTYPE,
    ENGINE_DTYPE,
    LOG_DTYPE,
    MARKET_DTYPE,
    MESSAGE_DTYPE,
    NEVER,
    NO_ASK,
    NO_BID,
    ORDER_DTYPE,
)
from marketprism.backtest.codes import Reason, Status, Wake
from marketprism.backtest.config import MarketConfig, Mode
from marketprism.backtest.latency import RecordedLatency
from marketprism.backtest.models import MarketModels
from marketprism.backtest.risk import RiskLimits
from marketprism.backtest.tape import Tape
from marketprism.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Engine"]

_MARGIN = 256
_POOL = 1024
_CACHE_LINE = 64
_NS_PER_MS = 1_000_000


class Engine:
    """Markets that replay their tapes, with the accounts of one or more lanes on them.

    A lane is one parameter set in a world of its own: lanes do not see each other. In strict mode several agents can
    share each lane's world: their orders stand in one queue and trade with each other. Each agent of each lane has its
    own account in every market; kernels number them ``lane * agents + agent``, and that number is what
    :mod:`~marketprism.backtest.actions` take as ``lane``.

    Parameters
    ----------
    tapes : sequence of Tape
        One for each market.
    configs : sequence of MarketConfig, optional
        One for each market; defaults if missing.
    lanes : int, default 1
        Worlds that do not see each other.
    agents : int, default 1
        Accounts that share each world; more than one needs strict mode.
    owners : sequence of int, optional
        Owner of each agent, for self-trade prevention; each its own if missing.
    models : sequence of MarketModels, optional
        Own latency, queue and fee functions, one for each market; compat mode takes recorded latencies alone.
    risk : RiskLimits or sequence of RiskLimits, optional
        For all accounts, one for each agent, or one for each agent of each lane (lane 0's first).
    mode : {"strict", "compat"}
        ``"strict"``: what a real exchange would do; ``"compat"``: what hftbacktest does. ``docs/concepts-backtest.md``
        lists every rule of both.
    log : bool, default True
        Keep every response, about a hundred bytes each. Without, accounts are all that is left of a run: for many
        lanes on long tapes.

    Examples
    --------
    >>> engine = Engine([tape])  # doctest: +SKIP
    >>> engine.run(strategy)  # doctest: +SKIP
    """

    def __init__(
        self,
        tapes: Sequence[Tape],
        configs: Sequence[MarketConfig] = (),
        *,
        lanes: int = 1,
        agents: int = 1,
        owners: Sequence[int] = (),
        models: Sequence[MarketModels] = (),
        risk: RiskLimits | Sequence[RiskLimits] = RiskLimits(),  # noqa: B008 - frozen
        mode: Mode = "strict",
        log: bool = True,
    ) -> None:
        if not tapes:
            raise ConfigError("no tape was given", hint="one for each market")
        if configs and len(configs) != len(tapes):
            raise ConfigError(f"{len(configs)} configurations for {len(tapes)} tapes", hint="one for each tape")
        for name, number in (("lanes", lanes), ("agents", agents)):
            if number < 1:
                raise ConfigError(f"{name} was {number}", hint="at least 1")
        if models and len(models) != len(tapes):
            raise ConfigError(f"{len(models)} models for {len(tapes)} tapes", hint="one for each tape")
        own = any(m.queue or m.fee or (m.latency and not isinstance(m.latency, RecordedLatency)) for m in models)
        if mode == "compat" and (agents > 1 or own):
            raise ConfigError("compat mode has neither agents in one world nor own models", hint='mode="strict"')
        self.tapes = tuple(tapes)
        self.configs = tuple(configs) or tuple(MarketConfig() for _ in tapes)
        self.models = tuple(models) or tuple(MarketModels() for _ in tapes)
        self.lanes, self.agents, self._owners = lanes, agents, tuple(owners)
        self._risk = risk
        self._width = lanes * agents
        self.mode = mode
        self._arrays: dict[str, np.ndarray] = {}
        self._logs = log
        self._log: list[np.ndarray] = []
        self._build()

    def _build(self) -> None:
        markets = np.zeros(len(self.tapes), MARKET_DTYPE)
        at = offset = 0
        for market, tape, config in zip(markets, self.tapes, self.configs, strict=True):
            low, high = tape.ticks()
            market["begin"], market["end"] = at, at + len(tape)
            market["exchange_at"] = market["local_at"] = at
            market["low"], market["size"] = low - _MARGIN, high - low + 1 + 2 * _MARGIN
            market["offset"] = offset
            at += len(tape)
            offset += int(market["size"])
            for name in ("bid", "highest_ask", "top_bid", "top_ask"):
                market[name] = market[f"known_{name}"] = NO_BID
            for name in ("ask", "lowest_bid", "bottom_bid", "bottom_ask"):
                market[name] = market[f"known_{name}"] = NO_ASK
            market["request_ts"] = market["response_ts"] = NEVER
            market["tick_size"], market["lot_size"] = float(tape.tick_size), float(tape.lot_size)
            market["multiplier"], market["inverse"] = config.multiplier, config.inverse
            market["maker_fee"], market["taker_fee"] = config.maker_fee_bps * 1e-4, config.taker_fee_bps * 1e-4
            market["entry_latency"] = round(config.entry_latency_ms * _NS_PER_MS)
            market["response_latency"] = round(config.response_latency_ms * _NS_PER_MS)
            market["queue_model"], market["queue_parameter"] = config.queue_model, config.queue_exponent
        accounts = np.zeros(len(self.tapes) * self._width, ACCOUNT_DTYPE)
        for name in ("first", "last", "request_first", "request_last", "response_first", "response_last"):
            accounts[name] = -1
        pool = _POOL * self._width
        clock = np.zeros(1, CLOCK_DTYPE)
        clock["markets"], clock["lanes"], clock["next_id"] = len(self.tapes), self._width, 1
        clock["strict"], clock["logs"] = self.mode == "strict", self._logs
        clock["orders_free"], clock["messages_free"] = pool, 4 * pool
        events = self.tapes[0].events if len(self.tapes) == 1 else np.concatenate([t.events for t in self.tapes])
        self._arrays = {
            "events": events,
            "depth": np.zeros(2 * offset),
            "known": np.zeros(2 * offset),
            "heads": np.full(2 * offset, -1, np.int32),
            "orders": _pool(ORDER_DTYPE, pool),
            "messages": _pool(MESSAGE_DTYPE, 4 * pool),
            "markets": markets,
            "accounts": accounts,
            "clock": clock,
            "log": np.zeros(16 * pool, LOG_DTYPE),
            **build_ledgers(self.configs, self.lanes, self.agents, self._owners),
            "limits": build_limits(self._risk, self.configs, self.lanes, self.agents),
        }
        clock["limited"] = self._arrays["limits"]["enabled"].any()
        rules, self._keep = build_rules(self.tapes, self.configs, self.models)
        self._arrays.update(rules)
        for name in ("delays_at", "delays_size"):
            markets[name] = rules["rules"][name]
        markets["entry_at"] = markets["response_at"] = markets["delays_at"]
        self._log = []
        self._address()

    def _address(self) -> None:
        """Write the addresses and lengths of the arrays into the record that kernels take."""
        record = np.zeros(1, ENGINE_DTYPE)
        for name, array in self._arrays.items():
            record[name] = array.ctypes.data
        for name in (
            "events",
            "orders",
            "messages",
            "markets",
            "accounts",
            "log",
            "worlds",
            "delays",
            "tiers",
            "slots",
        ):
            record[f"{name}_size"] = len(self._arrays[name])
        for name, where in entries(self.mode).items():
            record[name] = where
        record["ladder_size"] = len(self._arrays["depth"])
        self._record = record

    @property
    def pointer(self) -> Any:
        """What kernels and compiled strategies take as their first argument; valid until the engine grows or goes."""
        return self._record[0]

    def run(self, drive: Callable[..., int], *arguments: Any) -> None:
        """Call ``drive(pointer, *arguments)`` until the data are over.

        ``drive`` is a compiled loop over :func:`~marketprism.backtest.actions.advance` that returns the code with
        which it stopped; it is called again after the pools have grown, and must go on where it was.

        Raises
        ------
        DataError
            A single decision sent more orders than a pool holds.
        """
        while True:
            code = drive(self.pointer, *arguments)
            if self._arrays["clock"]["overflow"][0]:
                raise DataError("one decision sent more orders than fit", hint="send fewer, or cancel first")
            if code != Wake.GROW:
                return
            self.grow()

    def grow(self) -> None:
        """Double the pools that run low, and put the log aside."""
        clock = self._arrays["clock"][0]
        if self._logs:
            self._log.append(self._arrays["log"][: clock["logged"]].copy())
        clock["logged"] = 0
        for name, free, head in (
            ("orders", "orders_free", "free_order"),
            ("messages", "messages_free", "free_message"),
        ):
            old = self._arrays[name]
            least = 4 * len(self._arrays["orders"]) if name == "messages" else (1 + int(clock["short"])) * len(old)
            while clock[free] < len(old) // 2 or len(old) < least:
                more = _pool(old.dtype, 2 * len(old))
                more[: len(old)] = old
                more["next"][-1] = clock[head]
                clock[head] = len(old)
                clock[free] += len(old)
                old = self._arrays[name] = more
        clock["short"] = 0
        least = max(16 * len(self._arrays["orders"]), 2 * len(self._arrays["messages"]))
        if len(self._arrays["log"]) < least:
            self._arrays["log"] = np.zeros(least, LOG_DTYPE)
        self._address()

    @property
    def accounts(self) -> np.ndarray:
        """Accounts as the local side knows them, records ``[market, lane * agents + agent]``.

        Fields ``position, cash, fees, volume, value, trades, orders``.
        """
        return self._arrays["accounts"].reshape(len(self.tapes), self._width)

    @property
    def ledgers(self) -> np.ndarray:
        """Accounts as the exchange knows them (strict mode), records ``[market, lane * agents + agent]``.

        Fields ``held, cash, fees, funding, value, capital, trigger, liquidations, bankrupt`` among others.
        """
        return self._arrays["ledgers"].reshape(len(self.tapes), self._width)

    @property
    def limits(self) -> np.ndarray:
        """Risk limits and what became of them, records ``[market, lane * agents + agent]``.

        Fields ``equity, peak, variance, stopped`` (a :class:`~marketprism.backtest.codes.Reason`), ``refused, stops``
        among others.
        """
        return self._arrays["limits"].reshape(len(self.tapes), self._width)

    @property
    def rules(self) -> np.ndarray:
        """Counters of the markets in strict mode, as records: ``gaps, blind_ns, fundings, over`` among others."""
        return self._arrays["rules"]

    @property
    def markets(self) -> np.ndarray:
        """State of the markets as records."""
        return self._arrays["markets"]

    @property
    def clock(self) -> np.ndarray:
        """The clock and the counters, one record."""
        return self._arrays["clock"]

    def array(self, name: str) -> np.ndarray:
        """Return one of the arrays that kernels work on: ``orders``, ``known`` (ladders); another one after growth."""
        return self._arrays[name]

    def heard(self, since: int) -> list[np.ndarray]:
        """Return the responses heard after the first ``since``, as pieces of records in order.

        Raises
        ------
        ConfigError
            The engine keeps no log.
        """
        if not self._logs:
            raise ConfigError("this engine keeps no log of responses", hint="log=True")
        pieces = []
        for rows in (*self._log, self._arrays["log"][: self.clock["logged"][0]]):
            if since < len(rows):
                pieces.append(rows[max(since, 0) :])
            since -= len(rows)
        return pieces

    def responses(self) -> pl.DataFrame:
        """Return every response heard, in order: one row per acknowledgement, fill, cancellation, expiry, rejection.

        Raises
        ------
        ConfigError
            The engine keeps no log.
        """
        import polars as pl

        rows = np.concatenate([*self.heard(0), self._arrays["log"][:0]])
        rows = rows[np.argsort(rows["ts"], kind="stable")]
        frame = pl.DataFrame({name: rows[name] for name in LOG_DTYPE.names or ()})
        names = {int(code): code.name.lower() for code in Status}
        return frame.with_columns(
            pl.col("status", "request").replace_strict(names, return_dtype=pl.String),
            pl.col("reason").replace_strict({int(r): r.name.lower() for r in Reason}, return_dtype=pl.String),
            pl.col("maker").cast(pl.Boolean),
            (pl.col("account") % self._width // self.agents).alias("lane"),
            (pl.col("account") % self.agents).alias("agent"),
        ).drop("account")


def _pool(dtype: np.dtype[Any], size: int) -> np.ndarray:
    """Return an array, from a cache line on, whose ``next`` fields chain all of it as free."""
    room = np.zeros(size * dtype.itemsize + _CACHE_LINE, np.uint8)
    start = -room.ctypes.data % _CACHE_LINE
    pool: np.ndarray = room[start : start + size * dtype.itemsize].view(dtype)
    pool["next"] = np.arange(1, size + 1)
    pool["next"][-1] = -1
    return pool
