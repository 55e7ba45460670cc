"""What the beginning of a Binance recording says: market, symbols, price grids, receive-clock skew."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import msgspec

from marketprism.core.decimals import infer_tick, parse_decimal
from marketprism.core.errors import DataError, SourceError
from marketprism.core.instrument import Instrument
from marketprism.core.timebase import scale_to_ns, unit_of
from marketprism.ingest.files_io import display_name
from marketprism.ingest.frames import Frame, Framing, framing_of, read_frames
from marketprism.ingest.venues.binance_messages import url_symbol
from marketprism.ingest.venues.binance_symbols import Market, canonical_symbol, contract_multiplier, sequencing_of

__all__ = ["PROBE_BYTES", "Listing", "Probe", "build_instrument", "probe_file"]

PROBE_BYTES = 4 << 20
"""How much of a file is looked at, in bytes of messages."""

_ENOUGH_PRICES = 5000


class _Filter(msgspec.Struct):
    filterType: str = ""  # noqa: N815 (the venue's spelling)
    tickSize: str = ""  # noqa: N815


class Listing(msgspec.Struct):
    """One symbol of an ``exchangeInfo`` answer."""

    symbol: str
    baseAsset: str = ""  # noqa: N815
    quoteAsset: str = ""  # noqa: N815
    contractSize: float = 1.0  # noqa: N815
    filters: list[_Filter] = msgspec.field(default_factory=list)

    @property
    def tick(self) -> Decimal | None:
        """Tick size of the price filter."""
        sizes = [Decimal(f.tickSize) for f in self.filters if f.filterType == "PRICE_FILTER" and f.tickSize]
        return sizes[0].normalize() if sizes and sizes[0] > 0 else None


class _Info(msgspec.Struct):
    symbols: list[Listing]


class _Message(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    e: str = ""
    E: int = 0
    T: int = 0
    s: str = ""
    symbol: str = ""
    ps: str = ""
    pair: str = ""
    pu: int | None = None
    X: str = ""
    p: msgspec.Raw = msgspec.Raw(b"")
    b: msgspec.Raw = msgspec.Raw(b"")
    a: msgspec.Raw = msgspec.Raw(b"")
    bids: msgspec.Raw = msgspec.Raw(b"")
    asks: msgspec.Raw = msgspec.Raw(b"")


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_info = msgspec.json.Decoder(_Info).decode
_decode_levels = msgspec.json.Decoder(list[tuple[str, str]]).decode
_decode_text = msgspec.json.Decoder(str).decode


@dataclass(slots=True)
class Probe:
    """What one file's beginning says.

    Attributes
    ----------
    market : str
        Told by hosts, else by fields that only one market sends; empty where nothing says.
    prices : dict of str to set of str
        Symbol -> prices seen (a few thousand at most), in order of first appearance.
    listings : dict of str to Listing
        What an ``exchangeInfo`` answer in the file says.
    messages : int
        Messages with an event time.
    fastest_ns : int
        Smallest receive time less event time; negative where the receive clock is behind the exchange.
    """

    path: str
    framing: Framing
    market: Market | str = ""
    prices: dict[str, set[str]] = field(default_factory=dict)
    listings: dict[str, Listing] = field(default_factory=dict)
    messages: int = 0
    fastest_ns: int = 0
    nameless: set[str] = field(default_factory=set)
    votes: dict[str, int] = field(default_factory=dict)


def probe_file(path: str, market: Market | str = "") -> Probe:
    """Look at the first :data:`PROBE_BYTES` of a recording; nothing in it can make this fail but its framing."""
    probe = Probe(path, framing_of(path))
    size = 0
    for frame in read_frames(path, reject=_ignore):
        _look_at_host(probe, frame.url)
        if frame.direction in {"recv", "http"}:
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, DataError):
                _look(probe, frame, frame.data)
        size += len(frame.data)
        if size > PROBE_BYTES:
            break
    probe.market = market or _market(probe)
    if len(probe.prices) <= 1:
        # A connection of one symbol: answers that name none are about it.
        for seen in probe.prices.values():
            seen |= probe.nameless
    return probe


def _ignore(reason: str, where: str, value: object, *, hint: str = "") -> None:
    pass


def _look_at_host(probe: Probe, url: str) -> None:
    host = urlsplit(url).netloc if url else ""
    if "binance" in host:
        family = {"f": "linear", "d": "inverse"}.get(host[0], "spot")
        kind = family if host.startswith(("fapi", "fstream", "dapi", "dstream")) else "spot"
        probe.votes[kind] = probe.votes.get(kind, 0) + 1_000_000
        for stream in parse_qs(urlsplit(url).query).get("streams", [""])[0].split("/"):
            name = stream.partition("@")[0]
            if name and not name.startswith("!"):
                probe.prices.setdefault(name.upper(), set())


def _look(probe: Probe, frame: Frame, raw: bytes) -> None:
    if raw.startswith(b"["):
        return
    m = _decode_message(raw)
    if len(m.data):
        _look(probe, frame, bytes(m.data))
        return
    if raw.startswith(b'{"timezone"') or b'"exchangeFilters"' in raw[:4000]:
        probe.listings.update({listing.symbol: listing for listing in _decode_info(raw).symbols})
        return
    symbol = m.s or m.symbol or url_symbol(frame.url)
    if m.E and frame.direction == "recv" and not len(m.bids):
        latency = frame.ts_recv - m.E * scale_to_ns(unit_of(m.E))
        probe.fastest_ns = latency if not probe.messages else min(latency, probe.fastest_ns)
        probe.messages += 1
    _vote(probe, m, symbol)
    levels = [side for side in (m.bids, m.asks, m.b, m.a) if len(side)]
    seen = probe.prices.setdefault(symbol, set()) if symbol else probe.nameless
    if len(seen) < _ENOUGH_PRICES:
        seen.update(_prices(levels))
        if len(m.p):
            seen.update(_prices([m.p]))


def _prices(values: Iterable[msgspec.Raw]) -> list[str]:
    found: list[str] = []
    for value in values:
        raw = bytes(value)
        if raw.startswith(b"["):
            found += [price for price, _ in _decode_levels(raw)]
        elif raw.startswith(b'"'):
            found.append(_decode_text(raw))
    return found


def _vote(probe: Probe, m: _Message, symbol: str) -> None:
    has_book = len(m.bids) > 0
    if m.ps or m.pair or "USD_" in symbol:
        kind = "inverse"
    elif m.pu is not None or m.X or m.e == "bookTicker" or (has_book and m.T):
        kind = "linear"
    elif m.e in {"depthUpdate", "trade"}:
        kind = "spot"
    else:
        return  # a book without times is of spot, or of a futures market years ago
    probe.votes[kind] = probe.votes.get(kind, 0) + 1


def _market(probe: Probe) -> str:
    """Return the market with most votes; hosts outweigh fields, two markets in one file are refused."""
    if not probe.votes:
        return "spot" if any(probe.prices.values()) else ""
    strong = [kind for kind, n in probe.votes.items() if n >= 1_000_000] or list(probe.votes)
    if len(strong) > 1:
        raise SourceError(
            f"{display_name(probe.path)} holds messages of several markets: {', '.join(sorted(strong))}",
            hint="record one market a file, or force one with ?market=",
        )
    return strong[0]


def build_instrument(
    symbol: str, market: Market, prices: set[str], listing: Listing | None, tick: Decimal | None
) -> tuple[Instrument, str]:
    """Return the instrument of a venue symbol and where its tick came from.

    The tick is the given one, else that of an ``exchangeInfo`` answer, else inferred from ``prices``
    (:func:`marketprism.core.decimals.infer_tick`).

    Raises
    ------
    SourceError
        Nothing tells the tick.
    """
    multiplier = Decimal(contract_multiplier(symbol, market))
    origin = "given"
    if listing is not None and listing.tick is not None and tick is None:
        tick, origin = listing.tick, "from exchangeInfo"
    if listing is not None and market == "inverse":
        multiplier = Decimal(str(listing.contractSize)).normalize()
    if tick is None:
        usable = _usable(prices)
        if not usable:
            raise SourceError(f"no price of {symbol} was seen to infer its tick from", hint="set it with ?tick=")
        tick, origin = infer_tick(usable), f"inferred from {len(usable)} prices"
    name = canonical_symbol(symbol, market)
    if listing is not None and market == "spot" and listing.baseAsset:
        name = f"{listing.baseAsset}-{listing.quoteAsset}"
    instrument = Instrument(
        exchange="binance",
        market_type=market,
        symbol=name,
        tick_size=tick,
        contract_multiplier=multiplier,
        sequencing=sequencing_of(market),
        raw_symbol=symbol,
    )
    return instrument, f"{tick:f} {origin}"


def _usable(prices: Iterable[str]) -> list[Decimal]:
    """Return the prices that are sane numbers: one odd value must not set the grid."""
    usable = []
    for text in prices:
        try:
            value = parse_decimal(text, "price")
        except DataError:
            continue
        if 0 < value < Decimal(10) ** 12 and value == round(value, 12):
            usable.append(value)
    return usable
