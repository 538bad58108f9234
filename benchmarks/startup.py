"""How long `acclimate --help` and `import acclimate` take, and how large the environment is."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.common import say, write

REPEATS = 11


def main() -> None:
    """Median of wall-clock seconds over fresh processes; the interpreter's own start is given beside."""
    python = [sys.executable, "-c"]
    seconds = {
        "python -c pass": _median([*python, "pass"]),
        "import acclimate": _median([*python, "import acclimate"]),
        "acclimate --help": _median([str(Path(sys.executable).parent / "acclimate"), "--help"]),
    }
    folder = Path(sys.prefix)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    say(seconds, f"{size / 1e9:.2f} GB in {folder.name}")
    write("startup", {"protocol": main.__doc__, "seconds": seconds, "environment_gb": round(size / 1e9, 2)})


def _median(command: list[str]) -> float:
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - begun)
    return round(statistics.median(taken), 3)
