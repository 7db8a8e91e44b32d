"""A disk that is really full: a small tmpfs, mounted where only these tests see it."""

from __future__ import annotations

import os
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.core.local.harness import output_of, python

START = """
import errno, os, sys
from pathlib import Path
from fairing_core import errors
from tests.core.local.harness import Local, file_of, text_of
disk = Path(sys.argv[1])
assert os.statvfs(disk).f_blocks * os.statvfs(disk).f_frsize < 10_000_000, "not our disk"
local = Local(disk / "runs")

def fill(leaving=0):
    # Takes all pages but some.
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with open(disk / "filler", "wb", buffering=0) as file:
        for _ in range(free // 4096 - leaving):
            file.write(b"x" * 4096)
"""


@cache
def _namespace() -> list[str] | None:
    """The command that starts another in a mount namespace of its own."""
    for flags in ("-m", "-rm"):
        command = ["unshare", flags]
        try:
            done = subprocess.run(
                [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return command
    return None


def _on_a_small_disk(tmp_path: Path, code: str, size: str = "1m") -> str:
    command = _namespace()
    if command is None:
        how = "run as root, or allow user namespaces (sysctl user.max_user_namespaces)"
        text = f"no small disk can be mounted: install util-linux and {how}"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size={size} tmpfs {shlex.quote(str(disk))} && exec "$@"'
    prefix = [*command, "sh", "-c", mount, "sh"]
    return output_of(python(START + code, str(disk), prefix=prefix), 60)


def test_code_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    code = """
try:
    local.build(file_of("/app/a", b"a"), file_of("/app/big", b"x" * 2_000_000))
except errors.StateError as exc:
    print(str(local.root) in str(exc), "FAIRING_LOCAL__ROOT" in str(exc), local.leftovers())
"""
    assert _on_a_small_disk(tmp_path, code) == "True True []\n"


def test_the_end_is_recorded_on_a_full_disk(tmp_path: Path) -> None:
    code = """
program = '''
import sys
try:
    with open("filler", "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
except OSError as exc:
    sys.exit(exc.errno)
'''
run = local.submit(program)
status = run.wait(30)
print(status, run.outcome().exit_code == errno.ENOSPC, os.statvfs(disk).f_bavail <= 1)
run.delete()
print(local.leftovers())
"""
    assert _on_a_small_disk(tmp_path, code) == "failed True True\n[]\n"


def test_a_log_that_fills_the_disk_does_not_hang(tmp_path: Path) -> None:
    code = """
run = local.execute("sh", "-c", "yes; exit 9")
print(run.wait(30), run.outcome().exit_code, len(list(run.logs(tail=3))))
"""
    assert _on_a_small_disk(tmp_path, code) == "failed 9 3\n"


def test_a_run_is_whole_or_not_there_however_little_space_is_left(tmp_path: Path) -> None:
    code = """
seen = set()
for leaving in range(16):
    built = local.build(file_of("/app/x", b"x"))
    fill(leaving)
    try:
        run = local.deploy(built, ("sh", "-c", "exit 3"))
    except errors.StateError as exc:
        assert "no space is left" in str(exc), exc
        assert local.leftovers() == [], (leaving, local.leftovers())
        seen.add("refused")
    else:
        assert run.wait(30) == "failed", leaving
        assert run.outcome().exit_code == 3, leaving
        run.delete()
        seen.add("ran")
    (disk / "filler").unlink()
print(sorted(seen))
"""
    assert _on_a_small_disk(tmp_path, code) == "['ran', 'refused']\n"


def test_a_cancel_works_on_a_full_disk(tmp_path: Path) -> None:
    code = """
run = local.execute("sleep", "600")
fill()
run.cancel()
print(run.status, run.outcome().exit_code)
"""
    assert _on_a_small_disk(tmp_path, code) == "cancelled 143\n"
