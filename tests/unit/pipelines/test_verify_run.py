"""The folder of a run is checked file by file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from marketprism.core.errors import IntegrityError
from marketprism.pipelines.verify_run import verify_directory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {}
    for name, content in (("summary.json", b"{}"), ("model/a/model.onnx", b"onnx"), ("factors.parquet", b"rows")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "rows": None}
    files["factors.parquet"]["rows"] = 7
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "run", "version": 1, "files": files}))
    return tmp_path


def test_sound(folder: Path) -> None:
    result = verify_directory(folder)
    assert (result.files, result.rows, result.faults) == (3, 7, ())


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda p: p.write_bytes(b"onny"), "SHA-256"),
        (lambda p: p.write_bytes(b"on"), "2 bytes, the manifest says 4"),
        (lambda p: p.unlink(), "missing"),
    ],
)
def test_damage_is_named(folder: Path, damage: object, said: str) -> None:
    damage(folder / "model/a/model.onnx")  # type: ignore[operator]
    result = verify_directory(folder)
    assert [fault.path for fault in result.faults] == ["model/a/model.onnx"]
    assert said in result.faults[0].what


def test_torn_manifest_is_an_error(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"kind": "run", "version": 1}')
    with pytest.raises(IntegrityError, match="files"):
        verify_directory(folder)
