"""Faults 2, 4 and 6 on the embedded store: killed between insert and checkpoint, sent again late, disk full."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SEND = """
import os, signal, sys
from pathlib import Path
from marketprism.store import Store, StoreConfig, StoreWriter
from marketprism.testing.streams import every_column_stream

folder, kill_at, window = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
block = every_column_stream(150, seed=1)
saved, inserts = folder / "checkpoint", 0
with Store.open(folder / "db", StoreConfig(batch_rows=100, dedup_window=window)) as store:
    insert = store.connection.insert

    def counted(table, frame, token):
        global inserts
        insert(table, frame, token)
        inserts += 1
        if inserts == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)  # acknowledged by the store, but no checkpoint knows of it

    store.connection.insert = counted
    start, state = 0, None
    if saved.exists():
        text = saved.read_bytes()
        start, state = int.from_bytes(text[:8], "big"), text[8:]
    writer = StoreWriter(store, "s", block.instruments, checkpoint=state)
    for at in range(start, len(block), 50):
        writer.write(block[at : at + 50])
        if (at // 50) % 4 == 3:
            done = (at + 50).to_bytes(8, "big") + writer.flush()
            (folder / "new").write_bytes(done)
            (folder / "new").replace(saved)
    writer.close()
print(inserts)
"""

CHECK = """
import sys
from pathlib import Path
from marketprism.store import Store, StoreReader
from marketprism.testing.streams import canonical, every_column_stream

with Store.open(Path(sys.argv[1]) / "db") as store:
    same = canonical(StoreReader(store, "s").blocks()) == canonical(every_column_stream(150, seed=1))
    final = " FINAL" if sys.argv[2] == "final" else ""
    rows = {s.table: s.rows for s in store.sizes() if s.database == "marketprism_hot"}
    raw = {n: store.connection.query(f"SELECT count() AS n FROM marketprism_hot.{n}{final}")["n"].item() for n in rows}
    print(same, rows == raw, sum(rows.values()))
"""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def check(folder: Path, *, final: bool) -> list[str]:
    done = run(CHECK, folder, "final" if final else "raw")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def clean_rows(tmp_path_factory: pytest.TempPathFactory) -> int:
    folder = tmp_path_factory.mktemp("clean")
    assert run(SEND, folder, 0, 1000).returncode == 0
    same, equal, rows = check(folder, final=False)
    assert (same, equal) == ("True", "True")
    return int(rows)


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", [1, 17])
def test_killed_between_insert_and_checkpoint_then_sent_again(tmp_path: Path, clean_rows: int, kill_at: int) -> None:
    assert run(SEND, tmp_path, kill_at, 1000).returncode == -signal.SIGKILL
    assert run(SEND, tmp_path, 0, 1000).returncode == 0
    # Raw counts, without merging by key: the token alone kept every row single.
    assert check(tmp_path, final=False) == ["True", "True", str(clean_rows)]


@pytest.mark.slow
def test_sent_again_after_the_window_has_passed(tmp_path: Path, clean_rows: int) -> None:
    assert run(SEND, tmp_path, 0, 1).returncode == 0
    (tmp_path / "checkpoint").unlink()
    assert run(SEND, tmp_path, 0, 1).returncode == 0
    same, _, rows = check(tmp_path, final=True)
    assert (same, int(rows)) == ("True", clean_rows)
    # Control: a window of one batch had forgotten the tokens, so only the key kept rows single.
    assert check(tmp_path, final=False)[1] == "False"


FILL = """
import sys
from pathlib import Path
import numpy as np
from marketprism.core.block import EventBlock
from marketprism.core.errors import StoreError
from marketprism.core.rows import empty_rows
from marketprism.store import Store, StoreConfig, StoreReader, StoreWriter
from marketprism.testing.streams import canonical, every_column_stream

folder = Path(sys.argv[1])

def trades(seed):
    rng, rows = np.random.default_rng(seed), empty_rows(20_000)
    rows["kind"], rows["flags"], rows["ts_recv"] = 7, 3, np.arange(20_000) + 1723161255030314667
    for name in ("price", "event_id", "ts_event"):
        rows[name] = rng.integers(1, 2**40, 20_000)
    rows["price"] //= 2**20
    rows["quantity"] = np.round(rng.random(20_000), 8)
    return EventBlock(rows, every_column_stream(1).instruments)

with Store.open(folder / "db", StoreConfig(batch_rows=200, retries=0)) as store:
    acknowledged = 0
    try:
        for seed in range(40):
            block = trades(seed)
            with StoreWriter(store, f"s{seed}", block.instruments) as writer:
                writer.write(block)
            acknowledged = seed + 1
    except StoreError as error:
        print("refused", acknowledged, str(error)[:600].replace(chr(10), " "))
    else:
        print("never", acknowledged)
    if len(sys.argv) > 2:
        for seed in range(int(sys.argv[2])):
            back = canonical(StoreReader(store, f"s{seed}").blocks())
            print(seed, back == canonical(trades(seed)))
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_refuses_keeps_what_was_acknowledged_and_recovers(small_disk: Path) -> None:
    first = run(FILL, small_disk)
    word, acknowledged, *rest = first.stdout.split()
    assert word == "refused", first.stdout + first.stderr
    assert "disk is full" in " ".join(rest)
    assert int(acknowledged) > 0
    subprocess.run(["mount", "-o", "remount,size=256m", str(small_disk)], check=True)
    second = run(FILL, small_disk, 40)
    lines = second.stdout.splitlines()
    assert lines[0] == "never 40", second.stdout + second.stderr
    assert lines[1:] == [f"{seed} True" for seed in range(40)]
