"""Ten thousand small files into a layer, beside `tar -c | gzip -1`."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.appending.cases import PACK, PACK_TARGET, PEAK_MB
from benchmarks.appending.contents import small_files
from benchmarks.appending.measure import timed, weighed

OURS = """
import sys
from pathlib import Path
from fairing_core.build import codec, layer
from fairing_core.preprocess.folder import package_folder
files = package_folder(Path(sys.argv[1])).files
with open(sys.argv[2], "wb") as output:
    for block in codec.Compressor().blocks(layer.tar(files, uid=0, gid=0)):
        output.write(block)
"""
THEIRS = 'tar -c -C "$1" . | gzip -1 > "$2"'


def packed(folder: Path, pairs: int) -> dict[str, Any]:
    """A row of it: the layer's file written, and nothing pushed."""
    files = small_files(folder)
    commands = (
        [sys.executable, "-c", OURS, str(files), str(folder / "ours.tar.gz")],
        ["sh", "-c", THEIRS, "sh", str(files), str(folder / "theirs.tar.gz")],
    )
    taken = []
    for index in range(pairs + 1):
        seconds = {place: timed(commands[place], {}) for place in ((0, 1), (1, 0))[index % 2]}
        taken.append((seconds[0], seconds[1]))
    del taken[0]
    peaks = [round(weighed(command, {}, folder), 1) for command in commands]
    ratio = statistics.median(one / other for one, other in taken)
    return {
        "case": PACK,
        "pairs": len(taken),
        "ours_ms": round(1000 * statistics.median(one for one, _ in taken), 1),
        "peer_ms": round(1000 * statistics.median(other for _, other in taken), 1),
        "ratio": round(ratio, 3),
        "target": PACK_TARGET,
        "met": ratio <= PACK_TARGET,
        "peak_target_mb": PEAK_MB,
        "peak_met": peaks[0] <= PEAK_MB,
        "ours": {"peak_mb": peaks[0]},
        "peer": {"peak_mb": peaks[1]},
    }
