"""``verify`` of what ``run`` wrote: every file of the manifest, its size and its SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from marketprism.core.config import Config
from marketprism.core.errors import IntegrityError
from marketprism.pipelines.outputs import MANIFEST
from marketprism.pipelines.verify import Fault, VerifyResult, verify

__all__ = ["verify_directory", "verify_run"]


class _Entry(Config, frozen=True):
    sha256: str
    bytes: int
    rows: int | None = None


class _Manifest(Config, frozen=True):
    kind: str
    version: int
    files: dict[str, _Entry]


def verify_directory(directory: Path) -> VerifyResult:
    """Verify a directory written by ``convert`` or by ``run``, told from its manifest.

    Raises
    ------
    IntegrityError
        There is no manifest, or it cannot be read.
    """
    try:
        kind = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=dict).get("kind")
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        kind = None  # the dataset's own check says what is wrong with its manifest
    return verify_run(directory) if kind == "run" else verify(directory)


def verify_run(directory: Path) -> VerifyResult:
    """Check every file of a run against its manifest.

    Raises
    ------
    IntegrityError
        The manifest is missing or malformed.
    """
    try:
        manifest = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{directory / MANIFEST}: {error}", hint="run again, or restore the folder") from error
    faults = [fault for name, entry in sorted(manifest.files.items()) for fault in _check(directory, name, entry)]
    broken = {fault.path for fault in faults}
    rows = sum(entry.rows or 0 for name, entry in manifest.files.items() if name not in broken)
    return VerifyResult(str(directory), len(manifest.files), rows, tuple(faults))


def _check(directory: Path, name: str, entry: _Entry) -> list[Fault]:
    path = directory / name
    if not path.is_file():
        return [Fault(name, "the file is missing")]
    content = path.read_bytes()
    if len(content) != entry.bytes:
        return [Fault(name, f"{len(content)} bytes, the manifest says {entry.bytes}")]
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry.sha256:
        return [Fault(name, f"SHA-256 {digest[:12]}..., the manifest says {entry.sha256[:12]}...")]
    return []
