"""``deribit-ws:`` captured Deribit connections: websocket messages and REST answers."""

from __future__ import annotations

from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import Source
from marketprism.ingest.venues.captured import CapturedSource
from marketprism.ingest.venues.deribit import DeribitDecoder

__all__ = ["FORMAT"]


def _open(spec: SourceSpec) -> Source:
    return CapturedSource(spec, DeribitDecoder)


FORMAT = SourceFormat(
    name="deribit-ws",
    example="deribit-ws:instruments.txt.gz,messages.txt.gz?symbol=BTC-USDT",
    description="Captured Deribit websocket and REST messages; pass the file with the instrument list too.",
    open=_open,
    options={"symbol": "only these symbols, comma-separated, as the venue or we spell them"},
)
