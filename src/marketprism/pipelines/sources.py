"""Opening sources: file formats, and the store, which is a source too."""

from __future__ import annotations

from functools import cache

from marketprism.ingest.registry import SourceFormat, open_with
from marketprism.ingest.registry import formats as file_formats
from marketprism.ingest.source import Source

__all__ = ["formats", "open_source"]


@cache
def formats() -> dict[str, SourceFormat]:
    """Return every source format by name: files, the simulator, and ``store:``."""
    from marketprism.pipelines.store_source import FORMAT

    return dict(sorted({**file_formats(), FORMAT.name: FORMAT}.items()))


def open_source(text: str) -> Source:
    """Open a market-data source by its text, such as ``lobster:goog.zip?levels=5``.

    Parameters
    ----------
    text : str
        ``format:path[,path...][?key=value&...]``; ``marketprism sources`` lists formats and options.

    Returns
    -------
    Source
        An iterable of event blocks with ``.instrument`` (``.instruments`` on a panel) and, after or during an
        iteration, ``.report``.

    Raises
    ------
    SourceError
        Unknown format, missing file, nothing usable in it.
    ConfigError
        Unknown option.

    Examples
    --------
    >>> open_source("sim:?seed=1&minutes=1").instrument.symbol
    'SIM-USDT'
    """
    return open_with(text, formats())
