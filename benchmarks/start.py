"""What Fairing adds to the start of a program, as ratios to Python alone.

    python benchmarks/start.py [--pairs 25] [--json]

Whole processes: each pair runs ours and the floor one after the other, so that a drifting machine
drifts in both; the ratio is the median of the pairs' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PYTHON = sys.executable
FAIRING = str(Path(PYTHON).with_name("fairing"))

SCRIPT = "print('hello')\n"
FUNCTION = """
def hello():
    return "hello"

if __name__ == "__main__":
    from fairing_core import TrainJob
    print(TrainJob(hello, backend="local").submit().result())
"""

CASES = {
    "import": ([PYTHON, "-c", "from fairing_core import TrainJob"], [PYTHON, "-c", "pass"]),
    "script": ([FAIRING, "run", "script.py"], [PYTHON, "script.py"]),
    "function": ([PYTHON, "function.py"], [PYTHON, "script.py"]),
    "ps": ([FAIRING, "ps"], [PYTHON, "-c", "pass"]),
}


def seconds(command: Sequence[str], folder: Path) -> float:
    environ = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # users have compiled modules: the first run's
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
    return time.perf_counter() - started


def measure(name: str, pairs: int, folder: Path) -> dict[str, float | str]:
    ours, floor = CASES[name]
    taken = [(seconds(ours, folder), seconds(floor, folder)) for _ in range(pairs + 1)][1:]
    return {
        "case": name,
        "ours_ms": round(1000 * statistics.median(one for one, _ in taken), 1),
        "floor_ms": round(1000 * statistics.median(other for _, other in taken), 1),
        "ratio": round(statistics.median(one / other for one, other in taken), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=25, help="pairs of each case (default: 25)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
        (folder / "function.py").write_text(FUNCTION, encoding="utf-8")
        rows = [measure(case, chosen.pairs, folder) for case in CASES]
    if chosen.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'case':<10}{'ours ms':>10}{'floor ms':>10}{'ratio':>8}")
    for row in rows:
        print(f"{row['case']:<10}{row['ours_ms']:>10}{row['floor_ms']:>10}{row['ratio']:>8}")


if __name__ == "__main__":
    main()
