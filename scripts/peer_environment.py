"""Make the environment of a benchmark peer, or reuse it: ``python scripts/peer_environment.py [PEER ...]``.

Peers pin other versions of numpy than we do, so each lives in a virtual environment of its own, ``.venv-NAME`` in the
project root (``MARKETPRISM_PEERS`` names another folder). Prints the path of the environment's Python.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PEERS = {
    "hftbacktest": ("hftbacktest==2.4.4", "numpy==2.2.6"),
    "fastmm": ("fastmm-engine==0.9.0",),
    "nautilus": ("nautilus_trader==1.221.0",),
}
"""Name of a peer and what its environment holds; the first is the peer itself."""


class PeerMissingError(RuntimeError):
    """The environment of a peer is not there and cannot be made."""


def peer_python(name: str) -> Path:
    """Return the Python of a peer's environment; make it first where it is missing.

    Raises
    ------
    PeerMissingError
        It cannot be made: no registry, no build for this platform.
    """
    folder = Path(os.environ.get("MARKETPRISM_PEERS", Path(__file__).resolve().parents[1])) / f".venv-{name}"
    with (Path(tempfile.gettempdir()) / f"marketprism-peer-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests in several processes ask at once
        return _made(name, folder)


def _made(name: str, folder: Path) -> Path:
    """Return the Python of the environment in ``folder``, which is made anew unless it is ready."""
    python, ready, wanted = folder / "bin" / "python", folder / ".ready", "\n".join(PEERS[name])
    if ready.exists() and ready.read_text() == wanted:
        return python
    venv.EnvBuilder(with_pip=True, clear=True).create(folder)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    done = subprocess.run([*command, *PEERS[name]], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise PeerMissingError(f"{PEERS[name][0]} cannot be installed: {reason}")
    ready.write_text(wanted)
    return python


def main() -> int:
    """Make the environments named on the command line, hftbacktest's by default."""
    for name in sys.argv[1:] or ["hftbacktest"]:
        try:
            print(peer_python(name))
        except PeerMissingError as missing:
            print(missing, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
