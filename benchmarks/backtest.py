"""The backtest engine against hftbacktest: ``python benchmarks/backtest.py [--events N] [--repeats N] [--json FILE]``.

The same stream, strategies, latency, queue model and fees on both sides, on hftbacktest's fast array book. In compat
mode trades, position, cash and fees must agree before anything counts; strict mode has its own fills. Runs alternate
between ours and the peer's; times are processor time of one thread, without building and compiling; a ratio is the
median over the repeats, its spread their least and greatest. Other engines get rows for the order of magnitude: they
replay part of the stream with what they come with. Neither side keeps a log of orders.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.tape import Tape

FOLDER = Path(__file__).resolve().parent
EVENTS, REPEATS, OTHERS = 5_000_000, 3, 200_000
LANES = 16
TARGETS = {"compat": 3.0, "strict": 2.5}
CONFIG = MarketConfig(queue="power", maker_fee_bps=-0.5, taker_fee_bps=7.0)
CASES = ("replay", "grid_100_ms", "grid_1_ms", "touch")


def _load(file: Path) -> ModuleType:
    if file.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        if spec is None or spec.loader is None:
            sys.exit(f"{file} is missing")
        module = importlib.util.module_from_spec(spec)
        sys.modules[file.stem] = module
        spec.loader.exec_module(module)
    return sys.modules[file.stem]


class Peer:
    """hftbacktest in a process of its own."""

    def __init__(self, python: Path, file: Path) -> None:
        server = FOLDER / "backtest_peers" / "hftbacktest_server.py"
        self.process = subprocess.Popen(
            [str(python), str(server), str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._read()

    def _read(self) -> str:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            sys.exit("hftbacktest stopped")
        return line

    def run(self, case: str, away: int = 0) -> tuple[float, list[float]]:
        """Return seconds and the account: trades, position, cash, fees."""
        if self.process.stdin:
            self.process.stdin.write(f"{case} {away}\n")
            self.process.stdin.flush()
        answer = json.loads(self._read())
        return answer["seconds"], answer["account"]

    def close(self) -> None:
        """End the process."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait()


def run_ours(tape: Tape, case: str, mode: Any, lanes: int = 1) -> tuple[float, np.ndarray]:
    """Return seconds and the accounts of the lanes: trades, position, cash, fees."""
    strategies = _load(FOLDER / "backtest_strategies.py")
    engine = Engine([tape], [CONFIG], mode=mode, lanes=lanes, log=False)
    step = {"grid_100_ms": 100_000_000, "grid_10_ms": 10_000_000, "grid_1_ms": 1_000_000}.get(case)
    begin = time.process_time()
    if step is None:
        engine.run(getattr(strategies, case))
    else:
        engine.run(strategies.grid, step, 10)
    seconds = time.process_time() - begin
    accounts = engine.accounts[0]
    return seconds, np.stack([accounts[name] for name in ("trades", "position", "cash", "fees")], axis=1).astype(float)


def _agree(case: str, ours: np.ndarray, theirs: list[list[float]]) -> None:
    if not np.allclose(ours, theirs, rtol=1e-9, atol=1e-6):
        sys.exit(f"{case}: fills differ from hftbacktest's: {ours.tolist()} against {theirs}")


def _row(case: str, mode: str, ours: list[float], theirs: list[float], events: int, target: float) -> dict[str, Any]:
    ratios = np.array(theirs) / np.array(ours)
    return {
        "case": f"{case}, {mode}",
        "value": float(np.median(ours)) / events * 1e9,
        "unit": "ns an event",
        "ratio": float(np.median(ratios)),
        "spread": (float(ratios.min()), float(ratios.max())),
        "target": target,
        "peer": f"hftbacktest 2.4.4: {float(np.median(theirs)) / events * 1e9:.1f}",
    }


def _single(tape: Tape, peer: Peer, case: str, repeats: int) -> list[dict[str, Any]]:
    """Return the rows of one case, both modes."""
    times: dict[str, list[float]] = {"compat": [], "strict": [], "peer": []}
    for _ in range(repeats):
        seconds, account = peer.run(case)
        times["peer"].append(seconds)
        for mode in TARGETS:
            seconds, accounts = run_ours(tape, case, mode)
            times[mode].append(seconds)
            if mode == "compat":
                _agree(case, accounts, [account])
    return [_row(case, mode, times[mode], times["peer"], len(tape), target) for mode, target in TARGETS.items()]


def _lanes(tape: Tape, peer: Peer, repeats: int) -> list[dict[str, Any]]:
    """Return the rows of sixteen parameter sets: one replay of ours, sixteen runs of the peer's."""
    case = "grid_10_ms"
    times: dict[str, list[float]] = {"compat": [], "strict": [], "peer": []}
    for _ in range(repeats):
        runs = [peer.run(case, away) for away in range(LANES)]
        times["peer"].append(sum(seconds for seconds, _ in runs))
        for mode in TARGETS:
            seconds, accounts = run_ours(tape, case, mode, LANES)
            times[mode].append(seconds)
            if mode == "compat":
                _agree("lanes", accounts, [account for _, account in runs])
    name = f"{case}, {LANES} lanes"
    return [_row(name, mode, times[mode], times["peer"], len(tape), 15.0) for mode in TARGETS]


def _other(name: str, label: str, events: np.ndarray, ours: float, folder: Path) -> dict[str, Any]:
    """Return the row of another engine, or the reason why there is none."""
    environment = _load(FOLDER.parent / "scripts" / "peer_environment.py")
    try:
        python = environment.peer_python(name)
    except environment.PeerMissingError as missing:
        return {"case": label, "value": "not measured", "unit": "", "peer": str(missing)}
    np.save(folder / "few.npy", events[:OTHERS])
    script = FOLDER / "backtest_peers" / f"{name}_run.py"
    command = [str(python), str(script), str(folder / "few.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"case": label, "value": "failed", "unit": "", "peer": done.stderr.strip().splitlines()[-1]}
    answer = json.loads(done.stdout.splitlines()[-1])
    theirs = answer["seconds"] / answer["events"] * 1e9
    return {
        "case": label,
        "value": ours,
        "unit": "ns an event",
        "ratio": theirs / ours,
        "peer": f"{environment.PEERS[name][0]}: {theirs:.0f} ({answer['case']})",
    }


def measure(events: int = EVENTS, repeats: int = REPEATS) -> list[dict[str, Any]]:
    """Return the rows of the comparison."""
    environment = _load(FOLDER.parent / "scripts" / "peer_environment.py")
    stream = _load(FOLDER / "backtest_stream.py")
    theirs = stream.peer_events(events)
    tape = stream.tape_of(theirs)
    few = Tape(tape.events[:20_000].copy(), tape.tick_size, tape.lot_size)
    for mode in TARGETS:
        for case in CASES:
            run_ours(few, case, mode)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "events.npy", theirs)
        try:
            peer = Peer(environment.peer_python("hftbacktest"), folder / "events.npy")
        except environment.PeerMissingError as missing:
            return [{"case": "hftbacktest", "value": "not measured", "unit": "", "peer": str(missing)}]
        rows = [row for case in CASES for row in _single(tape, peer, case, repeats)]
        rows += _lanes(tape, peer, repeats)
        peer.close()
        nanoseconds = {row["case"]: row["value"] for row in rows}
        rows.append(
            {
                "case": "memory of a tape",
                "value": float(tape.events.nbytes / len(tape)),
                "unit": "bytes an event",
                "ratio": theirs.nbytes / tape.events.nbytes,
                "target": 2.0,
                "peer": f"hftbacktest 2.4.4: {theirs.nbytes / len(theirs):.0f}",
            }
        )
        rows.append(_other("fastmm", "maker at the touch, compat", theirs, nanoseconds["touch, compat"], folder))
        rows.append(_other("nautilus", "no strategy, compat", theirs, nanoseconds["replay, compat"], folder))
    return rows


def main() -> None:
    """Measure and print; with ``--json`` write the rows to a file too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    rows = measure(arguments.events, arguments.repeats)
    for row in rows:
        value = f"{row['value']:8.1f}" if isinstance(row["value"], float) else row["value"]
        ratio = f"{row['ratio']:6.1f} x" if "ratio" in row else ""
        spread = "({:.1f} to {:.1f})".format(*row["spread"]) if "spread" in row else ""
        target = f"target {row['target']}" if "target" in row else ""
        print(f"{row['case']:<32} {value} {row['unit']:<15} {ratio:>9} {spread:<17} {target:<12} {row['peer']}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"events": arguments.events, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
