"""What a run earned, from what, at which risk: one report for each account."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from marketprism.backtest._mids import Mids, replay_mids
from marketprism.backtest._order_statistics import order_table, queue_statistics
from marketprism.backtest.accounting import MarketAccount, PnlSplit, pnl_at, split_pnl
from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.engine import Engine
from marketprism.backtest.fills import frame_of_fills, values
from marketprism.backtest.markouts import markout_table
from marketprism.core.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["AccountReport", "summarize"]

_NS = 1_000_000_000
_YEAR_S = 365.0 * 86_400
_PARTS = ("spread_capture", "inventory_pnl", "adverse_selection", "fees", "funding")


@dataclass(frozen=True)
class AccountReport:
    """What one account did, summed over its markets.

    Amounts are in quote currency; of inverse contracts in base currency. Times are the exchange's clock.

    Attributes
    ----------
    lane, agent : int
        Whose it is.
    pnl : float
        ``spread_capture + inventory_pnl + adverse_selection - fees + funding``, evaluated left to right: the position
        is valued at the last mid.
    spread_capture, inventory_pnl, adverse_selection : float
        See :mod:`marketprism.backtest.accounting`; ``split`` has them exactly.
    fees, funding : float
        Paid (negative: rebates), received.
    split : PnlSplit
        The parts as exact fractions, before fees and funding.
    trades : int
        Executions.
    volume, value : float
        Base units (or contracts) and currency executed.
    orders : int
        New orders sent.
    fill_rate : float
        Share of them executed at least in part; NaN without orders.
    order_to_trade : float
        Requests sent (new, cancel, modify) for each execution; NaN without executions.
    max_drawdown : float
        Furthest the equity was below its highest point, at ends of bars and at fills; never negative.
    sharpe : mapping of str to float
        Mean over standard deviation of the changes of equity, times the root of such changes in a year, by the clock
        that cuts them: ``"1 s"`` (or another ``bar_s``), ``"1 min"``, and ``"trade"`` (from each fill to the next).
        Not corrected for serial correlation; NaN where there are fewer than two changes, or they do not vary.
    markouts : polars.DataFrame
        See :func:`~marketprism.backtest.markouts.markout_table`.
    equity : polars.DataFrame
        ``ts, mid, position, equity, spread_capture, inventory_pnl, adverse_selection, fees, funding`` at the ends of
        bars and of the tape; each row's equity is its own parts' sum. A second market's mid and position are
        ``mid_1, position_1``, and so on.
    queue : mapping of str to float
        What became of the orders: ``rested, filled_share, cancelled_share, seconds_to_fill_mean,
        seconds_to_fill_median, ahead_mean, ahead_filled_mean, expired, rejected, too_late, quantity_filled_share``,
        and ``requests``.
    """

    lane: int
    agent: int
    pnl: float
    spread_capture: float
    inventory_pnl: float
    adverse_selection: float
    fees: float
    funding: float
    split: PnlSplit
    trades: int
    volume: float
    value: float
    orders: int
    fill_rate: float
    order_to_trade: float
    max_drawdown: float
    sharpe: Mapping[str, float]
    markouts: pl.DataFrame
    equity: pl.DataFrame
    queue: Mapping[str, float]


def summarize(
    engine: Engine,
    *,
    markout_s: Sequence[float] = (0.1, 1.0, 5.0, 30.0),
    bar_s: float = 1.0,
    adverse_s: float = 1.0,
    markets: Sequence[int] | None = None,
    agents: Sequence[int] | None = None,
    year_s: float = _YEAR_S,
) -> list[AccountReport]:
    """Report on every account of a run, lanes first, their agents within.

    Parameters
    ----------
    engine : Engine
        That has run to the end of its data.
    markout_s : sequence of float
        Horizons of the mark-outs, seconds.
    bar_s : float, default 1
        Bar of the equity curve, seconds; bars end at multiples of it since 1970.
    adverse_s : float, default 1
        Horizon of adverse selection, seconds.
    markets : sequence of int, optional
        Which ones; all if missing. Linear and inverse ones are in different currencies and do not add up.
    agents : sequence of int, optional
        Which ones of each lane; all if missing.
    year_s : float, default 365 days
        Seconds of trading in a year, for the Sharpe ratios.

    Raises
    ------
    ConfigError
        A number out of range, no such market, or linear with inverse markets.

    Notes
    -----
    The mid of a fill is that just before the event that filled, on the exchange's clock. Where a side of the book is
    empty or the market is not observed, the last known mid stands for it, in the parts of the profit and in the curve;
    mark-outs leave out horizons that meet a gap.
    """
    chosen = tuple(range(len(engine.tapes))) if markets is None else tuple(markets)
    for name, value, least in (("bar_s", bar_s, 1e-9), ("adverse_s", adverse_s, 0.0), ("year_s", year_s, 1e-9)):
        if not (math.isfinite(value) and value >= least):
            raise ConfigError(f"{name} was {value}", hint="it must be finite and positive")
    if not chosen or any(not 0 <= index < len(engine.tapes) for index in chosen):
        raise ConfigError(f"markets were {chosen}", hint=f"there are {len(engine.tapes)}, numbered from 0")
    seats = range(engine.agents) if agents is None else tuple(agents)
    if any(not 0 <= agent < engine.agents for agent in seats):
        raise ConfigError(f"agents were {tuple(seats)}", hint=f"there are {engine.agents}, numbered from 0")
    if len({engine.configs[index].inverse for index in chosen}) > 1:
        raise ConfigError("linear and inverse markets are in different currencies", hint="report on them apart")
    run = _Run(engine, chosen, tuple(markout_s), round(bar_s * _NS), round(adverse_s * _NS), year_s)
    return [run.report(lane, agent) for lane in range(engine.lanes) for agent in seats]


class _Run:
    """What all accounts of a run share: mids, fills, orders."""

    def __init__(
        self, engine: Engine, markets: tuple[int, ...], horizons: tuple[float, ...], bar: int, adverse: int, year: float
    ) -> None:
        import polars as pl

        self.engine, self.markets, self.horizons = engine, markets, horizons
        self.bar, self.adverse, self.year = bar, adverse, year
        orders = order_table(engine)
        mids: dict[int, Mids] = {}
        ahead = np.full(len(orders), math.nan)
        for index in range(len(engine.tapes)):
            of_market = ((orders["market"] == index) & orders["rested_ts"].is_not_null()).to_numpy()
            asked = np.flatnonzero(of_market)
            times = orders["rested_ts"].fill_null(0).to_numpy()[asked]
            asked, times = asked[np.argsort(times, kind="stable")], np.sort(times)
            questions = (orders[name].to_numpy()[asked].astype(np.int64) for name in ("side", "tick"))
            sides, ticks = questions
            mids[index] = replay_mids(
                engine.tapes[index], engine.configs[index], engine.mode, asked_ts=times, sides=sides, ticks=ticks
            )
            ahead[asked] = mids[index].shown
        self.mids = mids
        self.orders = orders.with_columns(pl.Series("ahead", ahead))
        self.fills = frame_of_fills(engine, [mids[index] for index in range(len(engine.tapes))])

    def report(self, lane: int, agent: int) -> AccountReport:
        """Report on one account."""
        engine = self.engine
        which = lane * engine.agents + agent
        accounts = [self._account(index, lane, agent) for index in self.markets]
        splits = [split_pnl(account, self.adverse) for account in accounts]
        split = PnlSplit(
            *(
                sum((getattr(s, part) for s in splits), Fraction(0))
                for part in ("spread_capture", "adverse_selection", "inventory_pnl", "total")
            )
        )
        spread, inventory, adverse = (
            float(part) for part in (split.spread_capture, split.inventory_pnl, split.adverse_selection)
        )
        fees = float(sum(sum(account.fee.tolist()) for account in accounts))
        funding = float(engine.ledgers["funding"][list(self.markets), which].sum())
        curve = _Curve(self, accounts)
        fills, orders = (self._mine(frame, lane, agent) for frame in (self.fills, self.orders))
        trades, requests = len(fills), int(engine.accounts["orders"][list(self.markets), which].sum())
        return AccountReport(
            lane=lane,
            agent=agent,
            pnl=spread + inventory + adverse - fees + funding,
            spread_capture=spread,
            inventory_pnl=inventory,
            adverse_selection=adverse,
            fees=fees,
            funding=funding,
            split=split,
            trades=trades,
            volume=float(fills["quantity"].sum()),
            value=float(values(engine, *(fills[c].to_numpy() for c in ("market", "tick", "quantity"))).sum()),
            orders=len(orders),
            fill_rate=float((orders["executed"] > 0).sum()) / len(orders) if len(orders) else math.nan,
            order_to_trade=requests / trades if trades else math.nan,
            max_drawdown=curve.max_drawdown(),
            sharpe=curve.sharpe(),
            markouts=markout_table(accounts, self.horizons),
            equity=curve.frame(),
            queue={**queue_statistics(orders), "requests": float(requests)},
        )

    def _mine(self, frame: pl.DataFrame, lane: int, agent: int) -> pl.DataFrame:
        mine = (frame["lane"] == lane) & (frame["agent"] == agent) & frame["market"].is_in(list(self.markets))
        return frame.filter(mine)

    def _account(self, index: int, lane: int, agent: int) -> MarketAccount:
        mine = self._mine(self.fills, lane, agent)
        mine = mine.filter(mine["market"] == index)
        tape, config = self.engine.tapes[index], self.engine.configs[index]
        columns = ("side", "tick", "quantity", "maker", "mid_half_ticks", "fee")
        return MarketAccount.build(
            self.mids[index],
            ts=mine["exchange_ts"].to_numpy(),
            **{name: mine[name].to_numpy() for name in columns},
            tick_size=tape.tick_size,
            lot_size=tape.lot_size,
            multiplier=config.multiplier,
            inverse=config.inverse,
        )

    def funding_of(self, at: int, account: MarketAccount) -> tuple[np.ndarray, np.ndarray]:
        """Return when a market paid funding, and how much an account received each time."""
        index = self.markets[at]
        tape, config, mids = self.engine.tapes[index], self.engine.configs[index], self.mids[index]
        due = tape.events[
            (tape.events["kind"] & 63 == TapeKind.FUNDING) & (tape.events["kind"] & TapeFlag.EXCHANGE != 0)
        ]
        if self.engine.mode == "compat":
            due = due[:0]
        ts, tick = due["exchange_ts"], due["tick"].astype(np.int64)
        price = np.where(tick > 0, tick, 0.5 * mids.at(ts)) * float(tape.tick_size)
        held = account.held_before(ts) * float(account.lot)
        worth = config.multiplier * (held / price if config.inverse else held * price)
        return ts, np.where((tick > 0) | mids.known_at(ts), -due["quantity"] * worth, 0.0)


class _Curve:
    """Equity of an account over time."""

    def __init__(self, run: _Run, accounts: list[MarketAccount]) -> None:
        self.run, self.accounts = run, accounts
        self.funding = [run.funding_of(at, account) for at, account in enumerate(accounts)]
        self.first = min(account.mids.first_ts for account in accounts)
        self.last = max(account.mids.last_ts for account in accounts)

    def at(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns of the curve at some times."""
        found: dict[str, np.ndarray] = {name: np.zeros(len(times)) for name in ("mid", "position", "equity", *_PARTS)}
        for number, account in enumerate(self.accounts):
            parts = pnl_at(account, times, self.run.adverse)
            paid_ts, paid = self.funding[number]
            parts["funding"] = np.append(0.0, np.cumsum(paid))[np.searchsorted(paid_ts, times, side="right")]
            suffix = f"_{number}" if number else ""
            found[f"mid{suffix}"] = parts["mid"] * float(self.run.engine.tapes[self.run.markets[number]].tick_size)
            found[f"position{suffix}"] = parts["position"]
            for name in _PARTS:
                found[name] += parts[name]
        spread, inventory, adverse, fees, funding = (found[name] for name in _PARTS)
        found["equity"] = spread + inventory + adverse - fees + funding
        return found

    def grid(self, bar: int) -> np.ndarray:
        """Return the ends of bars within the tape."""
        return np.arange(-(-self.first // bar), self.last // bar + 1) * bar

    def frame(self) -> pl.DataFrame:
        """Return the curve at the ends of bars and of the tape."""
        import polars as pl

        times = np.union1d(self.grid(self.run.bar), [self.last])
        return pl.DataFrame({"ts": times, **self.at(times)})

    def _fill_times(self) -> np.ndarray:
        return np.unique(np.concatenate([account.ts for account in self.accounts]))

    def max_drawdown(self) -> float:
        """Return the furthest below the highest point so far, the start included."""
        times = np.union1d(np.union1d(self.grid(self.run.bar), self._fill_times()), [self.last])
        equity = np.append(0.0, self.at(times)["equity"])
        return float((np.maximum.accumulate(equity) - equity).max())

    def sharpe(self) -> dict[str, float]:
        """Return the Sharpe ratios by clock, annualised."""
        run, span = self.run, max(self.last - self.first, 1) / _NS
        trades = self._fill_times()
        clocks = {
            f"{run.bar / _NS:g} s": (self.grid(run.bar), run.year / (run.bar / _NS)),
            "1 min": (self.grid(60 * _NS), run.year / 60.0),
            "trade": (trades, run.year * len(trades) / span),
        }
        return {name: self._sharpe(times, periods) for name, (times, periods) in clocks.items()}

    def _sharpe(self, times: np.ndarray, periods: float) -> float:
        from marketprism.evaluate.sharpe import sharpe_ratio

        changes = np.diff(self.at(times)["equity"])
        return sharpe_ratio(changes, periods) if len(changes) > 1 else math.nan
