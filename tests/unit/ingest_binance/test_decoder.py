"""Every Binance message kind to rows, on both paths."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import ROW_DTYPE
from marketprism.core.schema import payload_dtype
from marketprism.ingest.venues.binance_decoder import BinanceDecoder, fill_event_times

T0 = 1723161255030314667
MS = 10**6
BOTH = Flag.FIRST | Flag.LAST


def instrument(market="linear", tick="0.1", symbol="BTC-USDT", raw="BTCUSDT", multiplier=1):
    return Instrument(
        exchange="binance",
        market_type=market,
        symbol=symbol,
        raw_symbol=raw,
        tick_size=Decimal(tick),
        contract_multiplier=Decimal(multiplier),
    )


@pytest.fixture(params=[True, False], ids=["guarded", "slow"])
def decode(request, recorder):
    def run(instruments, *messages, **options):
        instruments = instruments if isinstance(instruments, tuple) else (instruments,)
        decoder = BinanceDecoder(
            instruments, guarded=request.param, reject=recorder.reject, note=recorder.note, **options
        )
        lines = [b"%d %s" % (T0 + i, m if isinstance(m, bytes) else m.encode()) for i, m in enumerate(messages)]
        return decoder.decode(b"\n".join(lines))

    return run


def columns(block, *names):
    return block.rows[list(names)].tolist()


def test_futures_diff(decode, linear):
    block = decode(
        linear,
        '{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT",'
        '"U":11,"u":15,"pu":10,"b":[["58710.20","0.014"],["61510.90","0.000"]],"a":[["61800.30","3.330"]]}}',
    )
    assert columns(block, "kind", "side", "price", "quantity", "flags") == [
        (EventKind.BOOK_DELTA, 1, 587102, 0.014, Flag.FIRST),
        (EventKind.BOOK_DELTA, 1, 615109, 0.0, 0),
        (EventKind.BOOK_DELTA, -1, 618003, 3.33, Flag.LAST),
    ]
    assert set(columns(block, "ts_event", "ts_recv", "event_id", "first_id", "previous_id", "payload")) == {
        (1723161256298 * MS, T0, 15, 11, 10, -1)
    }


def test_spot_diff_has_no_transaction_time_and_no_previous_id(decode, spot):
    block = decode(
        spot,
        '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":1,"u":2,'
        '"b":[],"a":[["61837.64000000","1.54698000"]]}}',
    )
    assert columns(block, "ts_event", "price", "quantity", "previous_id", "flags") == [
        (1723161255208 * MS, 6183764, 1.54698, -1, BOTH)
    ]


def test_diff_without_levels_keeps_its_ids_in_a_row_that_touches_nothing(decode, linear):
    block = decode(
        linear, '{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":1,"u":2,"pu":0,"b":[],"a":[]}'
    )
    assert columns(block, "kind", "side", "price", "quantity", "event_id", "flags") == [
        (EventKind.BOOK_DELTA, 0, 0, 0.0, 2, BOTH)
    ]


def test_spot_ticker_takes_the_latest_exchange_time_of_its_instrument(decode, spot):
    ticker = '{"stream":"x@bookTicker","data":{"u":7,"s":"BTCUSDT","b":"61837.63","B":"3.5","a":"0.00","A":"0.00"}}'
    trade = (
        '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":9,"p":"61837.63000000",'
        '"q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
    )
    block = decode(spot, ticker, trade, ticker)
    assert columns(block, "kind", "side", "price", "quantity", "ts_event", "event_id", "flags") == [
        (EventKind.QUOTE, 1, 6183763, 3.5, T0, 7, Flag.FIRST),
        (EventKind.QUOTE, -1, 0, 0.0, T0, 7, Flag.LAST),
        (EventKind.TRADE, -1, 6183763, 0.02, 1723161255342 * MS, 9, BOTH),
        (EventKind.QUOTE, 1, 6183763, 3.5, 1723161255342 * MS, 7, Flag.FIRST),
        (EventKind.QUOTE, -1, 0, 0.0, 1723161255342 * MS, 7, Flag.LAST),
    ]


def test_inverse_contracts_become_base_units(decode, inverse):
    block = decode(
        inverse,
        '{"stream":"btcusd_perp@bookTicker","data":{"u":3,"e":"bookTicker","s":"BTCUSD_PERP","ps":"BTCUSD",'
        '"b":"61668.6","B":"1243","a":"61668.7","A":"871","T":1723161601262,"E":1723161601269}}',
        '{"stream":"btcusd_perp@trade","data":{"e":"trade","E":1723161601269,"T":1723161601262,"s":"BTCUSD_PERP",'
        '"t":8,"p":"61668.7","q":"2","X":"MARKET","m":false}}',
        '{"stream":"btcusd_perp@depth","data":{"e":"depthUpdate","E":1723161601269,"T":1723161601262,'
        '"s":"BTCUSD_PERP","ps":"BTCUSD","U":1,"u":2,"pu":0,"b":[["61668.6","1001"],["61668.5","0"]],"a":[]}}',
    )
    expected = [124300 / 61668.6, 87100 / 61668.7, 200 / 61668.7, 100100 / 61668.6, 0.0]
    assert block.rows["quantity"].tolist() == [round(value, 8) for value in expected]
    assert block.rows["side"].tolist() == [1, -1, 1, 1, 1]


def test_aggregate_trades_carry_their_first_trade_id(decode, spot):
    block = decode(
        spot,
        '{"e":"aggTrade","E":1617566591315,"s":"BTCUSDT","a":66,"p":"58001.03000000","q":"0.08620500","f":74,"l":75,'
        '"T":1617566591314,"m":false,"M":true}',
    )
    assert columns(block, "event_id", "first_id", "side", "price", "quantity") == [(66, 74, 1, 5800103, 0.086205)]


def test_trades_come_from_one_channel_only(decode, linear, recorder):
    trade = '{"e":"trade","E":1723161601269,"T":1723161601262,"s":"BTCUSDT","t":8,"p":"1.5","q":"2","m":false}'
    merged = (
        '{"e":"aggTrade","E":1723161601269,"T":1723161601262,"s":"BTCUSDT","a":1,"p":"1.5","q":"2","f":8,"l":8,'
        '"m":false}'
    )
    assert decode(linear, merged, trade, merged).rows["event_id"].tolist() == [1, 1]
    assert [n for note, n in recorder.notes.items() if "other trade channel" in note] == [1]


def test_trades_outside_the_book_are_left_out(decode, linear, recorder):
    trade = '{"e":"trade","E":1723161601269,"T":1723161601262,"s":"BTCUSDT","t":8,"p":"0","q":"0","X":"NA","m":false}'
    assert len(decode(linear, trade)) == 0
    assert recorder.notes == {"trades that are not of the order book left out (NA)": 1}


def test_snapshots(decode, spot, recorder):
    block = decode(
        spot,
        '{"lastUpdateId":9,"bids":[["61837.63000000","1.0"],["61837.62","0.00000000"]],"asks":[["61837.64","2"]]}',
        '{"lastUpdateId":10,"E":1723161601269,"T":1723161601262,"symbol":"BTCUSDT","bids":[],"asks":[]}',
    )
    assert columns(block, "kind", "side", "price", "quantity", "event_id", "first_id", "flags", "ts_event") == [
        (EventKind.BOOK_SNAPSHOT, 1, 6183763, 1.0, 9, -1, Flag.FIRST, T0),
        (EventKind.BOOK_SNAPSHOT, 1, 6183762, 0.0, 9, -1, 0, T0),
        (EventKind.BOOK_SNAPSHOT, -1, 6183764, 2.0, 9, -1, Flag.LAST, T0),
        (EventKind.BOOK_SNAPSHOT, 0, 0, 0.0, 10, -1, BOTH, 1723161601262 * MS),
    ]


def test_nameless_snapshot_of_a_panel_is_rejected(decode, recorder):
    pair = (instrument("spot"), instrument("spot", symbol="ETH-USDT", raw="ETHUSDT"))
    assert len(decode(pair, '{"lastUpdateId":9,"bids":[["1.0","1"]],"asks":[]}')) == 0
    assert recorder.reasons == ["snapshot names no symbol"]


def test_partial_books_are_left_out(decode, linear, recorder):
    diff = (
        '"data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":1,"u":2,"pu":0,"b":[],"a":[]}}'
    )
    partial = '{"stream":"btcusdt@depth20@100ms","data":{"lastUpdateId":9,"bids":[],"asks":[]}}'
    assert len(decode(linear, '{"stream":"btcusdt@depth20@100ms",' + diff, partial)) == 0
    assert sum(recorder.notes.values()) == 2
    assert len(decode(linear, '{"stream":"btcusdt@depth",' + diff)) == 1


def test_channels_and_other_symbols(decode, linear, recorder):
    trade = '{"e":"trade","E":1723161601269,"T":1723161601262,"s":"%s","t":8,"p":"1.5","q":"2","m":false}'
    ticker = '{"u":7,"s":"BTCUSDT","b":"1.5","B":"3.5","a":"1.6","A":"1"}'
    block = decode(linear, trade % "BTCUSDT", trade % "ETHUSDT", ticker, channels="trade", others=["ETHUSDT"])
    assert block.rows["event_id"].tolist() == [8]
    assert recorder.notes == {"messages of other symbols": 1, "messages of channels not asked for": 1}


def test_unknown_symbols_are_rejected_unless_lenient(decode, linear, recorder):
    ticker = '{"u":7,"s":"XXX","b":"1.5","B":"3.5","a":"1.6","A":"1"}'
    assert len(decode(linear, ticker)) == 0
    assert recorder.reasons == ["unknown symbol"]
    assert len(decode(linear, ticker, lenient=True)) == 0
    assert recorder.notes == {"messages of other symbols": 1}


def test_acknowledgements_and_unknown_kinds_are_noted(decode, linear, recorder):
    assert (
        len(decode(linear, '{"result":null,"id":1}', '{"code":-1,"msg":"x"}', '{"e":"kline","k":{}}', '{"what":1}'))
        == 0
    )
    assert recorder.notes == {
        "messages of kind subscription answer left out": 1,
        "messages of kind error answer left out": 1,
        "messages of kind kline left out": 1,
    }
    assert recorder.reasons == ["unknown message"]


def test_funding(decode, linear, recorder):
    mark = (
        '{"stream":"x@markPrice","data":{"e":"markPriceUpdate","E":1723161601269,"s":"BTCUSDT","p":"61700.12345678",'
        '"P":"1","i":"61701.5","r":"0.00038167","T":1723190400000}}'
    )
    block = decode(linear, mark, f"[{mark[mark.index('data') + 6 : -1]}]", mark.replace("0.00038167", ""))
    assert block.counts() == {"funding_rate": 2}
    own = block.payload(EventKind.FUNDING_RATE)
    assert own.dtype == payload_dtype(EventKind.FUNDING_RATE)
    record = {name: own[name][1].item() for name in own.dtype.names}
    assert record == {
        "rate": 0.00038167,
        "funding_time": 1723190400000 * MS,
        "next_funding_time": 0,
        "interval_s": -1,
        "mark_price": 61700.12345678,
        "index_price": 61701.5,
        "predicted": True,
    }
    assert set(columns(block, "ts_event", "flags")) == {(1723161601269 * MS, BOTH)}
    assert block.rows["payload"].tolist() == [0, 1]
    assert recorder.notes == {"mark prices without funding left out": 1}


def test_all_market_arrays_reject_nothing(decode, linear, recorder):
    item = '{"e":"markPriceUpdate","E":1723161601269,"s":"%s","p":"1.5","i":"1.5","r":"0.0001","T":1723190400000}'
    block = decode(linear, f"[{item % 'XXX'},{item % 'BTCUSDT'}]", "[1]", item % "XXX")
    assert block.counts() == {"funding_rate": 1}
    assert recorder.notes == {"messages of other symbols": 1}
    assert recorder.reasons == ["malformed message (array of no objects)", "unknown symbol"]


def test_premium_index_is_funding_too(decode, linear):
    block = decode(
        linear,
        '{"symbol":"BTCUSDT","markPrice":"61700.1","indexPrice":"61701.5","lastFundingRate":"0.0001",'
        '"nextFundingTime":1723190400000,"time":1723161601269}',
    )
    assert block.payload(EventKind.FUNDING_RATE)["rate"].tolist() == [0.0001]


def test_liquidations(decode, inverse):
    block = decode(
        inverse,
        '{"e":"forceOrder","E":1723161601269,"o":{"s":"BTCUSD_PERP","ps":"BTCUSD","S":"SELL","o":"LIMIT","f":"IOC",'
        '"q":"14","p":"61000.1","ap":"61000.5","X":"FILLED","l":"14","z":"14","T":1723161601200}}',
    )
    assert columns(block, "side", "price", "quantity") == [(-1, 610001, round(1400 / 61000.1, 8))]
    own = block.payload(EventKind.LIQUIDATION)[0]
    assert (own["average_price"], own["liquidation_time"], own["sampled"]) == (61000.5, 1723161601200 * MS, True)


@pytest.mark.parametrize(("market", "filled"), [("linear", "base_quantity"), ("inverse", "quote_value")])
def test_open_interest_in_the_units_that_are_known(decode, market, filled):
    contract = instrument(market, raw="X_PERP", multiplier=100 if market == "inverse" else 1)
    poll = '{"openInterest":"10659.5","symbol":"X_PERP","time":1723161601269}'
    own = decode(contract, poll, poll).payload(EventKind.OPEN_INTEREST)
    assert len(own) == 1  # the same poll twice is one event
    assert own["contracts"][0] == 10659.5
    assert own[filled][0] == (1065950.0 if market == "inverse" else 10659.5)
    assert np.isnan(own["base_quantity" if market == "inverse" else "quote_value"][0])


def test_ratios_need_their_url_and_repeat_nothing(linear, recorder):
    decoder = BinanceDecoder((linear,), note=recorder.note)
    item = '{{"symbol":"BTCUSDT","longShortRatio":"1.5","longAccount":"0.6","shortAccount":"0.4","timestamp":{}}}'
    url = "https://fapi.binance.com/futures/data/topLongShortPositionRatio?symbol=BTCUSDT&period=5m"
    first = decoder.push(f"[{item.format(1723161300000)}]".encode(), T0, url=url)
    both = f"[{item.format(1723161300000)},{item.format(1723161600000)}]".encode()
    second = decoder.push(both, T0, url=url)
    assert (len(first), len(second)) == (1, 1)
    own = second.payload(EventKind.LONG_SHORT_RATIO)[0]
    assert own.tolist() == (b"top_positions", 0.6, 0.4, 1.5, b"5m")
    assert len(decoder.push(both, T0)) == 0
    assert recorder.notes["long/short ratios without a URL that says which left out"] == 2


def test_rest_snapshot_takes_its_symbol_from_the_url():
    pair = (instrument("spot"), instrument("spot", symbol="ETH-USDT", raw="ETHUSDT"))
    block = BinanceDecoder(pair).push(
        b'{"lastUpdateId":9,"bids":[["1.0","1"]],"asks":[]}', T0, url="https://x/api/v3/depth?symbol=ETHUSDT&limit=5"
    )
    assert columns(block, "instrument", "ts_event") == [(1, T0)]


def test_microsecond_exchange_times(decode, spot):
    block = decode(
        spot,
        '{"e":"trade","E":1723161255343001,"s":"BTCUSDT","t":9,"p":"1","q":"2","T":1723161255342002,"m":true,"M":true}',
    )
    assert block.rows["ts_event"].tolist() == [1723161255342002000]


def test_old_spot_trades_with_order_ids(decode, spot):
    block = decode(
        spot,
        '{"e":"trade","E":1523161255343,"s":"BTCUSDT","t":9,"p":"1","q":"2","b":5,"a":6,"T":1523161255342,"m":true,'
        '"M":true}',
    )
    assert columns(block, "event_id", "first_id", "side") == [(9, -1, -1)]


def test_pushing_one_by_one_equals_decoding_at_once(linear):
    lines = [
        b'%d {"e":"trade","E":1723161601269,"T":1723161601262,"s":"BTCUSDT","t":%d,"p":"1.5","q":"2","m":false}'
        % (T0 + i, i)
        for i in range(5)
    ]
    whole = BinanceDecoder((linear,)).decode(b"\n".join(lines) + b"\n\n").rows
    decoder = BinanceDecoder((linear,))
    parts = np.concatenate([decoder.push(line).rows for line in lines])
    live = BinanceDecoder((linear,))
    pushed = np.concatenate([live.push(line[20:], T0 + i).rows for i, line in enumerate(lines)])
    assert np.array_equal(whole, parts)
    assert np.array_equal(whole, pushed)
    assert decoder.lines == live.lines == 5


def test_pretty_printed_live_message(linear):
    message = b'{\n "u": 7, "s": "BTCUSDT",\n "b": "1.5", "B": "3.5", "a": "1.6", "A": "1"}'
    assert BinanceDecoder((linear,)).push(message, T0).rows["price"].tolist() == [15, 16]
    assert len(BinanceDecoder((linear,)).push(b"", T0)) == 0


def test_errors_without_a_listener_are_raised(linear):
    with pytest.raises(DataError, match=r"feed:1: malformed JSON"):
        BinanceDecoder((linear,), name="feed").decode(b"1723161255030314667 {")
    with pytest.raises(ConfigError, match="market was 'spott'"):
        BinanceDecoder((linear,), "spott")
    with pytest.raises(ConfigError, match="did you mean 'depth'"):
        BinanceDecoder((linear,), channels="dept")


def test_state_survives_saving(spot):
    trade = (
        b'1723161255030 {"e":"trade","E":1723161255343,"s":"BTCUSDT","t":9,"p":"1","q":"2","T":1723161255342,"m":true}'
    )
    ticker = b'1723161255040 {"u":7,"s":"BTCUSDT","b":"1.5","B":"3.5","a":"1.6","A":"1"}'
    other = (
        b'1723161255041 {"e":"aggTrade","E":1723161601269,"T":1723161601262,"s":"BTCUSDT","a":1,"p":"1.5","q":"2",'
        b'"f":8,"l":8,"m":false}'
    )
    one = BinanceDecoder((spot,))
    one.push(trade)
    two = BinanceDecoder((spot,))
    two.restore(one.save())
    assert two.unit == "ms"
    for line in (ticker, other):
        assert np.array_equal(one.push(line).rows, two.push(line).rows)
    assert one.left_out() == two.left_out() != {}
    with pytest.raises(ConfigError, match="state is of symbols"):
        BinanceDecoder((instrument("spot", raw="OTHER"),)).restore(one.save())


def test_event_clock_never_runs_backwards():
    rows = np.zeros(4, ROW_DTYPE)
    rows["ts_recv"] = [100, 101, 102, 103]
    rows["ts_event"] = [0, 50, 40, 0]
    clock = np.zeros(1, np.int64)
    fill_event_times(rows, clock)
    assert rows["ts_event"].tolist() == [100, 50, 40, 50]
    assert clock.tolist() == [50]
