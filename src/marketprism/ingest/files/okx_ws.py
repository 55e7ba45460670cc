"""``okx-ws:`` captured OKX connections: websocket messages and REST answers."""

from __future__ import annotations

from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import Source
from marketprism.ingest.venues.captured import CapturedSource
from marketprism.ingest.venues.okx import OkxDecoder

__all__ = ["FORMAT"]


def _open(spec: SourceSpec) -> Source:
    return CapturedSource(spec, OkxDecoder)


FORMAT = SourceFormat(
    name="okx-ws",
    example="okx-ws:instruments.txt.gz,messages.txt.gz?symbol=BTC-USDT",
    description="Captured OKX websocket and REST messages; pass the file with the instrument list too.",
    open=_open,
    options={"symbol": "only these symbols, comma-separated, as the venue or we spell them"},
)
