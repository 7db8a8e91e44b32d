"""``fairing doctor``: what stands between the user and a run, and what to do."""

from __future__ import annotations

import sys
from argparse import Namespace

from fairing_core.cli.command import argument, as_json, command, pairs
from fairing_core.cli.output import show_rows

_MARKS = {True: "ok", False: "FAIL", None: "?"}


@command(
    argument("-b", "--backend", help="Which backend (default: the one that "
             "runs go to)."),
    pairs("-o", "--option", dest="backend_options", help="A setting of the backend "
          "(namespace=lab)."),
    as_json,
)  # fmt: skip
def doctor_command(given: Namespace) -> int:
    """Looks at all that runs on a backend need, and says what to do where it lacks.

    What is looked at is the backend's to say: whether the cluster answers, and what you may do
    there; whether the store takes an object, the registry a push, and whether nodes may pull. It
    is tried, not guessed: a small object is written and deleted again, an upload is opened and
    given up. Nothing stays behind.

    `ok` and `FAIL` say what was found; `?` could not be looked at, and counts as no fault.

    Exit code: 0, or 1 when something failed.

    Examples:
      fairing doctor                              the configured backend
      fairing doctor -b onprem                    another one
      fairing doctor -b onprem -o namespace=lab   with other settings than are set
      fairing doctor --json | jq '.[] | select(.ok == false)'
    """
    from fairing_core.choices import checks_of
    from fairing_core.runs import backend_of

    backend = backend_of(given.backend, given.backend_options)
    checks = checks_of(backend)
    rows = [
        {"state": _MARKS[one.ok], "check": one.name, "detail": one.detail, "ok": one.ok}
        for one in checks
    ]
    show_rows(rows, ("state", "check", "detail"), as_json=given.as_json)
    if not rows:
        print(f"fairing: backend {backend.name!r} says nothing of what it needs", file=sys.stderr)
    return 1 if any(one.ok is False for one in checks) else 0
