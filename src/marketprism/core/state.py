"""State is data: pack named arrays and scalars into checked bytes and back, without pickle."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from marketprism.core.errors import StateError

__all__ = ["pack_state", "unpack_state"]

_MAGIC = b"MPS1"
_PLAIN = (int, float, str, bool, bytes, type(None))


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        dtype = value.dtype.descr if value.dtype.names else value.dtype.str
        size = value.dtype.itemsize
        return {"__nd__": dtype, "size": size, "shape": value.shape, "data": np.ascontiguousarray(value).tobytes()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    if isinstance(value, _PLAIN):
        return value
    raise StateError(f"state held a {type(value).__name__}", hint="use arrays, numbers, strings, lists and mappings")


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if "__nd__" in value:
            spec = value["__nd__"]
            dtype = np.dtype(spec) if isinstance(spec, str) else _record_dtype(spec)
            return np.frombuffer(value["data"], dtype).reshape(value["shape"]).copy()
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value


def _record_dtype(descr: list[list[Any]]) -> np.dtype[Any]:
    # Padding of aligned dtypes comes back as nameless void fields: offsets are rebuilt from it.
    names, formats, offsets, offset = [], [], [], 0
    for name, kind, *shape in descr:
        item = np.dtype((kind, tuple(shape[0]))) if shape else np.dtype(kind)
        if name:
            names.append(name)
            formats.append(item)
            offsets.append(offset)
        offset += item.itemsize
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": offset})


def pack_state(tag: str, version: int, state: Mapping[str, Any]) -> bytes:
    """Pack ``state`` (arrays, numbers, strings, nested mappings and lists) into bytes with a checksum.

    Parameters
    ----------
    tag : str
        What the state belongs to; :func:`unpack_state` refuses another tag.
    version : int
        Layout version of that state.
    """
    body = msgspec.msgpack.encode({"tag": tag, "version": version, "state": _encode(state)})
    return _MAGIC + zlib.crc32(body).to_bytes(4, "big") + body


def unpack_state(blob: bytes, tag: str, version: int) -> dict[str, Any]:
    """Return the state packed by :func:`pack_state`; arrays are fresh and writable.

    Raises
    ------
    StateError
        The bytes are torn or altered, or belong to another kind of object or layout version.

    Examples
    --------
    >>> unpack_state(pack_state("demo", 1, {"x": np.arange(3)}), "demo", 1)["x"].tolist()
    [0, 1, 2]
    """
    if blob[:4] != _MAGIC or len(blob) < 8:
        raise StateError(f"saved state began with {blob[:4]!r}", hint="pass the bytes that save() returned")
    body = blob[8:]
    if zlib.crc32(body) != int.from_bytes(blob[4:8], "big"):
        raise StateError(
            "saved state failed its checksum", hint="the bytes are torn or altered; rebuild from raw events"
        )
    message = msgspec.msgpack.decode(body)
    if message["tag"] != tag or message["version"] != version:
        raise StateError(
            f"saved state is {message['tag']} v{message['version']}, wanted {tag} v{version}",
            hint="rebuild it from raw events with this version",
        )
    state: dict[str, Any] = _decode(message["state"])
    return state
