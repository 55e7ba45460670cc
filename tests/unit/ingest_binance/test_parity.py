"""The guarded parser and the slow path agree on every byte: real lines, mutated lines, noise."""

from __future__ import annotations

import gzip
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from marketprism.core.errors import DataError
from marketprism.core.instrument import Instrument
from marketprism.ingest.venues.binance_decoder import BinanceDecoder

SEEDS = [
    (
        b'{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT",'
        b'"U":11,"u":15,"pu":10,"b":[["58710.20","0.014"],["61510.90","0.000"]],"a":[["61800.30","3.330"]]}}'
    ),
    (
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":1,"u":2,"b":[],'
        b'"a":[["61837.60000000","1.54698000"]]}}'
    ),
    (
        b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5,"s":"BTCUSDT","b":"61800.20","B":"2.507",'
        b'"a":"61800.30","A":"3.330","T":1723161256298,"E":1723161256299}}'
    ),
    b'{"u":7,"s":"BTCUSDT","b":"61837.60","B":"3.5","a":"0.00","A":"0.00"}',
    (
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","t":8,'
        b'"p":"61800.20","q":"0.004","X":"MARKET","m":true}}'
    ),
    (
        b'{"e":"aggTrade","E":1617566591315,"s":"BTCUSDT","a":66,"p":"58001.10","q":"0.08620500","f":74,"l":75,'
        b'"T":1617566591314,"m":true,"M":true}'
    ),
    b'{"stream":"ethusdt@bookTicker","data":{"u":7,"s":"ETHUSDT","b":"1.5","B":"3.5","a":"1.6","A":"1"}}',
]
NUMBERS = [
    b"0", b"-1", b"1e5", b"NaN", b"1.", b".5", b"007", b"1e308", b"9223372036854775808", b"1" * 40, b"0.05", b"-0",
    b"1.00000000000000000000000", b"999999999999999.9", b"9007199254740993", b"12345678.123456789012", b"null",
]  # fmt: skip
PIECES = [
    b'"',
    b",",
    b"}",
    b"{",
    b"[",
    b"]",
    b":",
    b"\\",
    b" ",
    b"\xff",
    b"\x00",
    b"\t",
    b"a",
    b"b",
    b'"pu":1,',
    b'"e":1',
]


def run(lines, *, guarded, market="linear", channels=""):
    btc = Instrument(
        exchange="binance",
        market_type=market,
        symbol="BTC",
        raw_symbol="BTCUSDT",
        tick_size=Decimal("0.1"),
        contract_multiplier=Decimal(100 if market == "inverse" else 1),
    )
    told = []
    decoder = BinanceDecoder(
        (btc,),
        others=("ETHUSDT",),
        channels=channels,
        guarded=guarded,
        reject=lambda reason, where, value, hint="": told.append((reason, where)),
        note=lambda what, n: told.extend([(what, "")] * n),
    )
    rows = decoder.decode(b"\n".join(lines)).rows
    return rows, sorted(told), decoder.table.params.tolist(), decoder.lines


def assert_same(lines, **options):
    fast, slow = run(lines, guarded=True, **options), run(lines, guarded=False, **options)
    assert fast[0].tolist() == slow[0].tolist()
    assert fast[1:] == slow[1:]


def prefixed(messages):
    return [b"%d %b" % (1723161255030314667 + i, message) for i, message in enumerate(messages)]


@pytest.mark.parametrize("time", [9_223_372_036_855, 10_723_161_256_298, 10**16])
def test_a_time_beyond_the_year_2262_is_rejected(time):
    line = b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5,"s":"BTCUSDT","b":"61800.20","B":"2.507",'
    line += b'"a":"61800.30","A":"3.330","T":%d,"E":1723161256299}}' % time
    assert_same(prefixed([line]))
    rows, told, _, _ = run(prefixed([line]), guarded=True)
    assert len(rows) == 0
    assert told[0][0] == "exchange time out of range"


def test_a_receive_time_beyond_the_year_2262_is_rejected():
    line = b"10723161256298 " + SEEDS[0]
    good = b"1723161255030 " + SEEDS[0]
    assert_same([good, line])
    rows, told, _, _ = run([good, line], guarded=True)
    assert len(rows) == len(run([good], guarded=True)[0]) > 0
    assert [reason for reason, _ in told] == ["no receive time"]


@pytest.mark.parametrize("market", ["linear", "spot", "inverse"])
def test_seed_lines_agree_and_need_no_slow_path(market, monkeypatch):
    assert_same(prefixed(SEEDS), market=market)
    monkeypatch.setattr(BinanceDecoder, "_slow", None)
    decoder = BinanceDecoder((_btc(),), others=("ETHUSDT",))
    decoder._clock.to_ns(b"1723161255030314667", 1)
    decoder._learn_unit()
    assert len(decoder.decode(b"\n".join(prefixed(SEEDS)))) == 9


def _btc():
    return Instrument(
        exchange="binance", market_type="linear", symbol="BTC", raw_symbol="BTCUSDT", tick_size=Decimal("0.1")
    )


@st.composite
def mutated(draw):
    message = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(message)))
        stop = min(len(message), start + draw(st.integers(0, 12)))
        piece = draw(st.one_of(st.sampled_from(NUMBERS), st.sampled_from(PIECES), st.binary(max_size=4)))
        message[start:stop] = piece
    return bytes(message).replace(b"\n", b" ")


@st.composite
def renumbered(draw):
    import re

    message = draw(st.sampled_from(SEEDS))
    spots = [m.span() for m in re.finditer(rb"\d[\d.]*", message)]
    start, stop = draw(st.sampled_from(spots))
    number = draw(
        st.one_of(st.sampled_from(NUMBERS), st.decimals(0, 10**7, places=9).map(lambda d: format(d, "f").encode()))
    )
    return message[:start] + number + message[stop:]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(mutated(), renumbered(), st.sampled_from(SEEDS)), min_size=1, max_size=4))
@example([SEEDS[4], SEEDS[5]])
@example([SEEDS[5] + b"}", SEEDS[4]])
@example([SEEDS[0].replace(b',"a":', b',"b":[["58710.20","0.014"]],"a":')])
@example([SEEDS[0].replace(b'"a":', b'"b":[],"a":')])
@example([SEEDS[4].replace(b'"t":8', b'"t":08')])
@example([SEEDS[4].replace(b'"0.004"', b'"9007199254740993e-10"')])
@example([SEEDS[4].replace(b'"0.004"', b'"900719925.4740993"'), SEEDS[2].replace(b"2.507", b"123456789.012345678")])
@example([b"[" * 100_000])
@example([b'{"e":' + b"[" * 3000])
@example([b'{"\n'.strip(), b'{"a', b'{"p'])
def test_mutated_messages_agree(messages):
    for market in ("linear", "inverse"):
        assert_same(prefixed(messages), market=market)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_noise_never_crashes(noise):
    for guarded in (True, False):
        try:
            run([b"1723161255030314667 {}", noise], guarded=guarded)
        except DataError as error:
            assert "is in" in str(error)  # noqa: PT017 (two units in one file are the only refusal)


@settings(max_examples=100, deadline=None)
@given(st.lists(mutated(), min_size=1, max_size=3), st.integers(0, 10**20))
def test_pushed_messages_never_crash(messages, ts):
    decoder = BinanceDecoder((_btc(),), reject=lambda *a, **k: None)
    for message in messages:
        rows = decoder.push(message, min(ts, 2**62) + 1).rows
        assert np.isfinite(rows["quantity"]).all()
        assert (rows["quantity"] >= 0).all()
        assert (rows["price"] >= 0).all()


@pytest.mark.parametrize(
    ("file", "market", "symbol", "tick"),
    [
        ("usdm_btcusdt_20240808", "linear", "BTCUSDT", "0.1"),
        ("spot_ethusdt_20240809", "spot", "ETHUSDT", "0.01"),
        ("cm_ethusd_perp_20240808", "inverse", "ETHUSD_PERP", "0.01"),
    ],
)
def test_real_lines_agree(data_dir, file, market, symbol, tick):
    with gzip.open(data_dir / "binance_ws_20240808" / f"{file}.gz") as stream:
        data = b"".join(line for _, line in zip(range(4000), stream, strict=False))
    contract = Instrument(
        exchange="binance",
        market_type=market,
        symbol=symbol,
        raw_symbol=symbol,
        tick_size=Decimal(tick),
        contract_multiplier=Decimal(10 if market == "inverse" else 1),
    )
    fast = BinanceDecoder((contract,)).decode(data)
    slow = BinanceDecoder((contract,), guarded=False).decode(data)
    assert len(fast) > 8000
    assert np.array_equal(fast.rows, slow.rows)
