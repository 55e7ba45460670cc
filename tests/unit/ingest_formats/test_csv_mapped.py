"""CSV by mapping: the configuration and what it makes of files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from marketprism.core.block import concat
from marketprism.core.errors import ConfigError, SourceError
from marketprism.core.kinds import EventKind, Flag
from marketprism.ingest.files.csv_mapped import CsvSource
from marketprism.ingest.mapping import CsvMapping, load_mapping
from marketprism.ingest.registry import open_source, parse_spec

_EXAMPLES = Path(__file__).parents[3] / "examples" / "mappings"
_INSTRUMENT = {"exchange": "x", "symbol": "BTC-USDT", "tick_size": 0.5}
_TRADES = {
    "kind": "trades",
    "event_time": {"column": "t"},
    "price": "p",
    "quantity": "q",
    "side": {"column": "s"},
    "event_id": "id",
}
_MS = 1_700_000_000_000


def _mapping(*tables, **top):
    return {"instrument": _INSTRUMENT, "tables": [dict(table) for table in tables], **top}


def _spec(tmp_path, mapping, **files):
    target = tmp_path / "m.yaml"
    target.write_text(yaml.safe_dump(mapping))
    paths = []
    for name, text in files.items():
        path = tmp_path / f"{name}.csv"
        path.write_text(text)
        paths.append(str(path))
    return f"csv:{','.join(paths)}?mapping={target}"


def _read(spec, **options):
    source = CsvSource(parse_spec(spec), **options)
    return source, concat(source)


def test_trades(tmp_path):
    text = f"t,p,q,s,id\n{_MS},100.5,1,buy,7\n{_MS + 1},101,2,A,8\n"
    source, block = _read(_spec(tmp_path, _mapping({**_TRADES, "latency": "5ms"}), a=text))
    rows = block.rows
    assert rows["kind"].tolist() == [EventKind.TRADE] * 2
    assert rows["price"].tolist() == [201, 202]
    assert rows["side"].tolist() == [1, -1]
    assert rows["event_id"].tolist() == [7, 8]
    assert (rows["ts_recv"] - rows["ts_event"]).tolist() == [5_000_000] * 2
    assert source.report.facts["time unit of t in a.csv"] == "ms"
    assert len(source.files) == 2  # the mapping is part of what was read


def test_one_file_with_several_kinds_of_rows(tmp_path):
    level = {"event_time": {"column": "t"}, "price": "p", "quantity": "q", "side": {"column": "s"}, "ignore": ["*"]}
    mapping = _mapping(
        {**level, "kind": "snapshots", "where": {"what": ["snap"]}},
        {**level, "kind": "deltas", "where": {"what": ["Diff", "diff2"]}},
    )
    text = (
        f"what,t,p,q,s\nsnap,{_MS},100,1,bid\ndiff,{_MS},99.5,2,bid\nsnap,{_MS},100.5,3,ask\n"
        f"noise,{_MS},x,x,x\ndiff2,{_MS},99,4,bid\ndiff,{_MS + 1},98,0,bid\n"
    )
    source, block = _read(_spec(tmp_path, mapping, a=text))
    assert block.rows["kind"].tolist() == [1, 1, 2, 2, 2]
    assert block.rows["flags"].tolist() == [1, 2, 1, 2, 3]
    assert source.report.records == 5
    assert source.report.rejected == {}


def test_updates_of_one_time_but_other_ids_are_other_messages(tmp_path):
    table = {
        "kind": "deltas", "receive_time": {"column": "t"}, "price": "p", "quantity": "q", "side": {"column": "s"},
        "event_id": "u", "first_id": "U", "previous_id": "pu",
    }  # fmt: skip
    text = f"t,U,u,pu,s,p,q\n{_MS},1,2,0,b,100,1\n{_MS},1,2,0,b,99,1\n{_MS},3,4,2,b,100,0\n"
    for size in (1, 30, 4096):
        _, block = _read(_spec(tmp_path, _mapping(table), a=text), batch_bytes=size)
        assert block.rows["flags"].tolist() == [1, 2, 3]
        assert block.rows["first_id"].tolist() == [1, 1, 3]
        assert block.rows["previous_id"].tolist() == [0, 0, 2]


def test_quotes_without_sizes_need_a_word_about_it(tmp_path):
    table = {"kind": "quotes", "event_time": {"column": "t"}, "bid_price": "b", "ask_price": "a"}
    text = f"t,b,a\n{_MS},100,100.5\n{_MS + 1},,101\n"
    with pytest.raises(ConfigError, match="unit_quantity"):
        _read(_spec(tmp_path, _mapping(table), a=text))
    source, block = _read(_spec(tmp_path, _mapping({**table, "unit_quantity": 1.0}), a=text))
    assert block.rows["quantity"].tolist() == [1, 1, 0, 1]
    assert source.report.notes == {"quotes without sizes (quantity set to 1.0)": 2}


def test_sized_quotes_and_last_prices(tmp_path):
    quotes = {
        "kind": "quotes", "match": "q*", "event_time": {"column": "t"}, "bid_price": "b", "ask_price": "a",
        "bid_quantity": "bq", "ask_quantity": "aq",
    }  # fmt: skip
    last = {"kind": "last_prices", "match": "l*", "event_time": {"column": "t"}, "price": "p"}
    spec = _spec(tmp_path, _mapping(quotes, last), q=f"t,b,a,bq,aq\n{_MS + 1},100,100.5,3,4\n", l=f"t,p\n{_MS},100\n")
    _, block = _read(spec)
    assert block.rows["kind"].tolist() == [EventKind.TRADE, EventKind.QUOTE, EventKind.QUOTE]
    assert block.rows["quantity"].tolist() == [0, 3, 4]
    assert block.rows["flags"][0] == Flag.FIRST | Flag.LAST | Flag.DERIVED


def test_wide_snapshots(tmp_path):
    names = {
        f"{side}_{field}": f"{side[0]}{field[0]}{{n}}" for side in ("bid", "ask") for field in ("price", "quantity")
    }
    levels = {"count": 2, "first": 1, **names}
    table = {"kind": "wide_snapshots", "receive_time": {"column": "t"}, "levels": levels}
    text = f"t,bp1,bq1,bp2,bq2,ap1,aq1,ap2,aq2\n{_MS},100,1,99.5,2,100.5,3,,\n"
    _, block = _read(_spec(tmp_path, {**_mapping(table), "instrument": {"exchange": "x", "symbol": "S"}}, a=text))
    assert block.rows["price"].tolist() == [1000, 995, 1005]
    assert block.rows["side"].tolist() == [1, 1, -1]
    assert block.rows["quantity"].tolist() == [1, 2, 3]
    assert block.rows["flags"].tolist() == [1, 0, 2]


def test_inverse_contracts(tmp_path):
    instrument = {**_INSTRUMENT, "market_type": "inverse", "inverse": True, "contract_multiplier": 100}
    text = f"t,p,q,s,id\n{_MS},50000,3,buy,7\n"
    _, block = _read(_spec(tmp_path, {**_mapping(_TRADES), "instrument": instrument}, a=text))
    assert block.rows["quantity"].tolist() == [0.006]


def test_tick_is_told_from_the_head_or_given(tmp_path):
    bare = {"exchange": "x", "symbol": "S"}
    text = f"t,p,q,s,id\n{_MS},100.25,1,buy,7\n"
    source, _ = _read(_spec(tmp_path, {**_mapping(_TRADES), "instrument": bare}, a=text))
    assert str(source.instrument.tick_size) == "0.01"
    assert any("told from 1 distinct" in fact for fact in source.report.facts.values())
    source, _ = _read(_spec(tmp_path, {**_mapping(_TRADES), "instrument": bare}, a=text) + "&tick=0.25")
    assert str(source.instrument.tick_size) == "0.25"


def test_headerless_other_separator_and_midnight(tmp_path):
    table = {
        "kind": "trades", "header": ["ms", "p", "q"], "separator": ";", "price": "p", "quantity": "q",
        "event_time": {"column": "ms", "unit": "ms", "base_date": "from_name", "timezone": "America/New_York"},
    }  # fmt: skip
    path = tmp_path / "x_2014-05-05.csv"
    path.write_text("34200000;100;1\n")
    target = tmp_path / "m.yaml"
    target.write_text(yaml.safe_dump(_mapping(table)))
    _, block = _read(f"csv:{path}?mapping={target}")
    assert str(block.to_polars()["ts_event"][0]) == "2014-05-05 13:30:00+00:00"
    nameless = path.rename(tmp_path / "x.csv")
    with pytest.raises(SourceError, match="no date in its name"):
        _read(f"csv:{nameless}?mapping={target}")
    wrong = nameless.rename(tmp_path / "x_20141399.csv")
    with pytest.raises(SourceError, match="date was '2014-13-99'"):
        _read(f"csv:{wrong}?mapping={target}")


@pytest.mark.parametrize("size", [1, 40, 90, 4096])
def test_a_made_up_last_time_is_rejected_and_a_true_silence_is_not(tmp_path, size):
    times = [0, 10, 20_000_000, 20_000_001, 90_000_000, 90_000_000]
    text = "t,p,q,s,id\n" + "".join(f"{_MS + t},100.5,1,buy,{i}\n" for i, t in enumerate(times))
    spec = _spec(tmp_path, _mapping({**_TRADES, "max_time_jump": "1h"}), a=text)
    source, block = _read(spec, batch_bytes=size)
    assert block.rows["event_id"].tolist() == [0, 1, 2, 3]
    assert source.report.rejected["time jump that no later record confirms"].count == 2
    _, block = _read(_spec(tmp_path, _mapping(_TRADES), a=text), batch_bytes=size)
    assert len(block) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tabels": []}, "mapping has no key 'tabels'.*did you mean 'tables'"),
        ({"tables": []}, "no tables"),
        ({"tables": [{**_TRADES, "prize": "p"}]}, r"mapping.tables\[0\] has no key 'prize'.*did you mean 'price'"),
        ({"tables": [{**_TRADES, "event_time": {"colum": "t"}}]}, r"tables\[0\].event_time has no key 'colum'"),
        ({"tables": [{**_TRADES, "event_time": "t"}]}, "event_time was 't'"),
        ({"tables": [{**_TRADES, "kind": "candles"}]}, "candles"),
        ({"tables": [{**_TRADES, "price": ""}]}, "table of trades has no price"),
        ({"tables": [{k: v for k, v in _TRADES.items() if k != "event_time"}]}, "has no time"),
        ({"tables": [{**_TRADES, "receive_time": {"column": "t"}, "latency": "1ms"}]}, "latency replaces the column"),
        ({"tables": [{**_TRADES, "separator": ""}]}, "separator was ''"),
        ({"tables": [{**_TRADES, "header": False}]}, "list the column names"),
        ({"tables": [{**_TRADES, "side": {"column": "s", "buy": ["x"], "sell": ["X"]}}]}, "means two sides"),
        ({"tables": [{**_TRADES, "event_time": {"column": "t", "timezone": "Mars"}}]}, "timezone was 'Mars'"),
        ({"tables": [{**_TRADES, "event_time": {"column": "t", "base_date": "2014-05-05"}}]}, "base_date was given"),
        (
            {"tables": [{**_TRADES, "event_time": {"column": "t", "unit": "ms", "base_date": "yesterday"}}]},
            "base_date was 'yesterday'",
        ),
        ({"instrument": None}, "has no instrument"),
        ({"instrument": {**_INSTRUMENT, "market_type": "spott"}}, "spott"),
        ({"tables": [{**_TRADES, "match": "*.tsv"}]}, "no table of the mapping matches a.csv"),
        ({"tables": [{**_TRADES, "price": "price"}]}, "no column 'price'"),
        ({"tables": [{k: v for k, v in _TRADES.items() if k != "event_id"}]}, "unknown column 'id'"),
        (
            {"tables": [_TRADES, {**_TRADES, "instrument": {**_INSTRUMENT, "tick_size": 0.1}}]},
            "described in two ways",
        ),
        (
            {"tables": [{"kind": "wide_snapshots", "event_time": {"column": "t"}, "levels": dict.fromkeys(
                ("bid_price", "bid_quantity", "ask_price", "ask_quantity"), "p") | {"count": 1}}]},
            "write {n} where",
        ),
        (
            {"tables": [{"kind": "wide_snapshots", "event_time": {"column": "t"}, "levels": dict.fromkeys(
                ("bid_price", "bid_quantity", "ask_price", "ask_quantity"), "p{n}") | {"count": 0}}]},
            "count was 0",
        ),
    ],
)  # fmt: skip
def test_bad_mappings_are_refused_with_the_place(tmp_path, change, message):
    text = f"t,p,q,s,id\n{_MS},100.5,1,buy,7\n"
    with pytest.raises((ConfigError, SourceError), match=message):
        _read(_spec(tmp_path, {**_mapping(_TRADES), **change}, a=text))


def test_mapping_files_must_be_there_and_be_yaml(tmp_path):
    data = tmp_path / "a.csv"
    data.write_text("t\n1\n")
    with pytest.raises(ConfigError, match="needs a mapping"):
        open_source(f"csv:{data}")
    with pytest.raises(SourceError, match="mapping file not found"):
        load_mapping(str(tmp_path / "none.yaml"))
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1")
    with pytest.raises(SourceError, match=r"bad.yaml is no YAML"):
        load_mapping(str(bad))
    bad.write_text("- 1")
    with pytest.raises(ConfigError, match=r"bad.yaml: mapping was"):
        load_mapping(str(bad))


def test_yaml_dates_and_booleans_mean_what_they_say(tmp_path):
    target = tmp_path / "m.yaml"
    target.write_text(
        "instrument: {exchange: x, symbol: S, tick_size: 0.01}\n"
        "tables:\n  - kind: trades\n    price: p\n    quantity: q\n"
        "    event_time: {column: t, unit: ms, base_date: 2014-05-05}\n"
        "    side: {column: s, buy: [false], sell: [true]}\n"
    )
    table = load_mapping(str(target)).tables[0]
    assert table.event_time is not None
    assert table.event_time.base_date == "2014-05-05"
    assert table.side is not None
    assert table.side.words() == {"false": 1, "true": -1}


def test_schema_and_hash():
    schema = CsvMapping.json_schema()
    assert "tables" in str(schema)
    mapping = CsvMapping.from_mapping(_mapping(_TRADES))
    assert mapping.hash == CsvMapping.from_mapping(_mapping(_TRADES)).hash


@pytest.mark.parametrize("path", sorted(_EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_example_mappings_are_valid(path):
    assert load_mapping(str(path)).description
