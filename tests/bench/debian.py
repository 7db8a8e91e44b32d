"""Trees of files made from Debian's packages: what base images hold."""

from __future__ import annotations

import filecmp
import os
import re
import stat
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.bench import Bench, BenchError

SUITE = "bookworm"
SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
PYTHON = ("python3", "python-is-python3")
ML = (
    "python3-numpy",
    "python3-joblib",
    "python3-threadpoolctl",
    "python3-decorator",
    "liblbfgsb0",
    "libgomp1",
    "libstdc++6",
)
ALONE = ("python3-scipy", "python3-sklearn", "python3-sklearn-lib")
"""Of `ML` too, but installed without what they depend on: scipy's wants a C++ compiler."""
LEFT_OUT = (
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
    "/usr/share/bash-completion/*",
    "/usr/lib/*/gconv/*",
)
INSTALL_ALONE = f"""set -e
cd "$1/var/cache/apt/archives"
APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq download {" ".join(ALONE)}
chroot "$1" sh -c 'dpkg --install --force-depends /var/cache/apt/archives/*.deb'
rm -- *.deb"""
# Perl is for maintainers' scripts, the rest is this machine's. It can go only after packages'
# scripts have run.
_BARE = """\
rm -rf usr/bin/perl* usr/lib/*/perl-base usr/share/perl5 var/cache/* var/lib/apt var/lib/dpkg
rm -rf var/log/* run/* tmp/* etc/resolv.conf etc/hostname"""
CLEAN_BARE = f"""set -e
cd "$1"
{_BARE}"""
# Python does not look for the second numpy.
CLEAN = f"""set -e
cd "$1"
find usr/lib/python3/dist-packages -type d -name tests -prune -exec rm -r {{}} +
rm -rf usr/lib/python3.11/dist-packages
{_BARE}"""

TRY_ML = """chroot "$1" python -Bc 'import scipy.stats, sklearn.ensemble, sklearn.linear_model'"""


def make(bench: Bench, tree: Path, packages: Sequence[str], hooks: Sequence[str]) -> None:
    """A tree of Debian's essential packages and `packages`, from the mirrors that apt knows.

    Raises:
        BenchError: apt knows no mirror of this Debian, or it failed; with what it said.
    """
    # Not --variant=minbase: apt itself would be in the image.
    command = ["mmdebstrap", "--variant=essential", "--format=directory"]
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    command += [f"--include={','.join(packages)}"]
    command += [f"--dpkgopt=path-exclude={each}" for each in LEFT_OUT]
    command += [f"--customize-hook={each}" for each in hooks]
    log = tree.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(
            ["nice", "-n", "10", *command, SUITE, str(tree), *_sources()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        bench.tell_while(process, f"{tree.name}: mmdebstrap")
    if process.returncode:
        last = "\n".join(log.read_text().splitlines()[-15:])
        raise BenchError(f"{tree.name}: mmdebstrap failed:\n{last}\n{log}")


def pack(target: Path, tree: Path, below: Path | None = None) -> None:
    """A tar of a tree, or of what it has and the tree `below` has not."""

    def keep(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
            return None  # devices are the container's own
        if below and not entry.isdir() and _same(tree / entry.name, below / entry.name):
            return None
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(target, "w") as tar:
        for name in sorted(os.listdir(tree)):
            tar.add(tree / name, arcname=name, filter=keep)


def _same(one: Path, other: Path) -> bool:
    try:
        first, second = one.lstat(), other.lstat()
    except FileNotFoundError:
        return False
    if (first.st_mode, first.st_uid, first.st_gid) != (
        second.st_mode,
        second.st_uid,
        second.st_gid,
    ):
        return False
    if stat.S_ISLNK(first.st_mode):
        return one.readlink() == other.readlink()
    return filecmp.cmp(one, other, shallow=False)


def _sources() -> list[str]:
    """Lines of a sources.list: Debian's own among those that apt is set up with.

    Asked for what apt would fetch, since all else is empty until it has fetched it.
    """
    told = subprocess.run(
        ["apt-get", "update", "--print-uris"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    asked = re.findall(r"^'(\S+)/dists/(\S+)/InRelease'", told, re.MULTILINE)
    found = [f"deb {mirror} {suite} main" for mirror, suite in asked if suite in SUITES]
    if not found:
        raise BenchError(f"apt knows no mirror of Debian {SUITE}; add one to its sources")
    return found
