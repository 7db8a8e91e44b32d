"""``fairing clean``: removes what earlier runs and builds have left."""

from __future__ import annotations

import re
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairing_core import errors
from fairing_core.cli.command import UsageError, argument, as_json, command, pairs
from fairing_core.cli.output import show_rows

if TYPE_CHECKING:
    from fairing_core.cleaning import Leftover

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


@command(
    argument("kinds", nargs="*", metavar="KIND", help="runs, contexts, outputs, artifacts, cache "
             "(default: all of them)."),
    argument("--older-than", default="7d", metavar="AGE", help="Only what is older: 30m, 12h, 7d, "
             "2w, 0s (default: 7d)."),
    argument("-b", "--backend", help="Whose runs and store (default: FAIRING_BACKEND, else "
             "`local`)."),
    pairs("-o", "--option", dest="backend_options", help="A setting of the backend "
          "(namespace=lab)."),
    argument("-n", "--dry-run", action="store_true", help="Show what would be removed."),
    argument("-y", "--yes", action="store_true", help="Do not ask."),
    as_json,
)  # fmt: skip
def clean_command(given: Namespace) -> int:
    """Removes what earlier runs and builds have left, by its age.

    KINDs:
      runs        runs that have ended, with their logs and records
      contexts    what was uploaded for builds, in the backend's store
      outputs     what runs have written to that store
      artifacts   outputs that came home to this machine
      cache       what was learned of registries and images; it is learned again

    Runs that go on are never touched; images in registries are not either. In a terminal it shows
    what there is and asks; elsewhere it wants --yes or --dry-run.

    Examples:
      fairing clean -n                                what would go
      fairing clean --older-than 30d --yes
      fairing clean contexts outputs -b onprem --older-than 1d
    """
    from fairing_core.cleaning import KINDS, leftovers

    for kind in given.kinds:
        if kind not in KINDS:
            raise UsageError(f"there is no {kind!r} to clean{errors.near(kind, KINDS)}")
    found = leftovers(
        backend=given.backend,
        backend_options=given.backend_options,
        older_than=_age(given.older_than),
        kinds=given.kinds or KINDS,
    )
    _show(found, as_json_too=given.as_json)
    if given.dry_run or not found:
        return 0
    if not given.yes and not _agreed(found):
        return 1
    return _removed(found)


def _show(found: Sequence[Leftover], *, as_json_too: bool) -> None:
    now = time.time()
    rows = [
        {
            "kind": one.kind,
            "name": one.name,
            "age": f"{(now - one.changed) / 86_400:.1f}d" if one.changed else None,
            "size": one.size,
            "changed": one.changed,
        }
        for one in found
    ]
    if not as_json_too:  # a cache has thousands of small files, of which nobody reads a list
        rows = [row for row in rows if row["kind"] != "cache"]
    show_rows(rows, ("kind", "name", "age", "size"), as_json=as_json_too)
    if not found:
        print("nothing is that old", file=sys.stderr)


def _agreed(found: Sequence[Leftover]) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("this is no terminal to ask in: give --yes, or --dry-run to look")
    print(f"Remove {_counted(found)}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _removed(found: Sequence[Leftover]) -> int:
    """Removes all that can be; the exit code is that of the first fault."""
    gone, code = [], 0
    for one in found:
        try:
            one.remove()
        except (errors.FairingError, OSError) as exc:
            print(f"fairing: {one.kind} {one.name}: {exc}", file=sys.stderr)
            code = code or getattr(exc, "exit_code", errors.StateError.exit_code)
        else:
            gone.append(one)
    print(f"removed {_counted(gone)}", file=sys.stderr)
    return code


def _counted(found: Sequence[Leftover]) -> str:
    from fairing_core.progress import shown_size

    counts = Counter(one.kind for one in found)
    size = sum(one.size or 0 for one in found)
    names = {"runs": "run", "contexts": "context", "outputs": "output", "artifacts": "artifact",
             "cache": "cache entry"}  # fmt: skip
    plural = {"cache": "cache entries"}
    told = [
        f"{count} {names[kind] if count == 1 else plural.get(kind, names[kind] + 's')}"
        for kind, count in counts.items()
    ]
    return f"{', '.join(told) or 'nothing'}{f' ({shown_size(size)})' if size else ''}"


def _age(text: str) -> float:
    """Seconds of an age such as ``7d``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if found is None:
        raise UsageError(f"--older-than {text!r} is no age; write 30m, 12h, 7d or 2w")
    return float(found[1]) * _SECONDS[found[2]]
