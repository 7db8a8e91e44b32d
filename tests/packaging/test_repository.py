"""What holds for the files of the repository."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
from tests.packaging.world import PROJECTS

LOCK = (ROOT / "requirements.lock").read_text()
PINS = re.findall(r"^([a-z0-9-]+)==(\S+)(?: ; .*)? \\$", LOCK, re.MULTILINE)

# In pieces, or this file would be found itself.
HOSTS = tuple(
    "".join(pieces)
    for pieces in (
        ("py", "pi.org"),
        ("python", "hosted.org"),
        ("py", "pi.python"),
        ("crates", ".io"),
        ("npm", "js.org"),
        ("npm", "js.com"),
        ("proxy.", "golang.org"),
        ("maven", ".org"),
        ("repo.", "maven"),
        ("deb.", "debian.org"),
    )
)


def tracked() -> Iterator[str]:
    """The files of the repository: what git has, and what it would take."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository: this is no clone")
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return (name for name in listed.split("\0") if name and (ROOT / name).is_file())


def table(name: str) -> dict[str, Any]:
    return tomllib.loads((PROJECTS[name] / "pyproject.toml").read_text())


def test_no_file_names_the_host_of_a_package_registry() -> None:
    found = [
        f"{name}: {host}"
        for name in tracked()
        for host in HOSTS
        if host.encode() in (ROOT / name).read_bytes()
    ]
    assert not found


def test_the_lock_has_no_address_no_path_and_none_of_ours() -> None:
    assert PINS
    assert "://" not in LOCK
    assert "--index" not in LOCK
    assert "--find-links" not in LOCK
    assert "-e " not in LOCK
    assert not re.search(r"^[./]", LOCK, re.MULTILINE)
    assert not [name for name, _ in PINS if name in PROJECTS]


def test_every_pin_of_the_lock_has_a_hash() -> None:
    blocks = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(PINS)
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("distribution", [name for name in PROJECTS if name != "fairing-scratch"])
def test_the_lock_has_what_each_distribution_asks_for(distribution: str) -> None:
    project = table(distribution)["project"]
    groups = table(distribution).get("dependency-groups", {})
    wanted = [
        *project["dependencies"],
        *(each for extra in project.get("optional-dependencies", {}).values() for each in extra),
        *(each for group in groups.values() for each in group if isinstance(each, str)),
    ]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert ">=" in str(requirement.specifier), f"{requirement} has no floor"
        pins = [version for pinned, version in PINS if pinned == name]
        assert name in PROJECTS or pins, f"{name} is not locked; run: make lock"
        assert all(requirement.specifier.contains(pin) for pin in pins), "run: make lock"


def test_our_distributions_have_one_version_and_one_licence() -> None:
    ours = [name for name in PROJECTS if name != "fairing-scratch"]
    assert len({table(name)["project"]["version"] for name in ours}) == 1
    assert len({(PROJECTS[name] / "LICENSE").read_text() for name in ours}) == 1
