"""The wheels hold what they should, and nothing else."""

from __future__ import annotations

from email import message_from_string

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.packaging.world import MEMBERS, Wheels, names, read

DISTRIBUTIONS = ("fairing-core", *(f"fairing-{member}" for member in MEMBERS))


@pytest.fixture(params=DISTRIBUTIONS)
def distribution(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_wheel_holds_its_package_and_metadata_only(distribution: str, wheels: Wheels) -> None:
    package = distribution.replace("-", "_")
    tops = {name.partition("/")[0] for name in names(wheels.ours(distribution))}
    assert tops == {package, f"{package}-0.1.0.dev0.dist-info"}
    assert not [name for name in names(wheels.ours(distribution)) if "/test_" in name]


def test_a_wheel_is_typed_and_licensed(distribution: str, wheels: Wheels) -> None:
    wheel = wheels.ours(distribution)
    package = distribution.replace("-", "_")
    assert f"{package}/py.typed" in names(wheel)
    assert read(wheel, "/licenses/LICENSE") == (ROOT / "LICENSE").read_text()
    metadata = message_from_string(read(wheel, "/METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert str(metadata.get_payload()).strip()  # the README


def test_every_dependency_has_a_floor(distribution: str, wheels: Wheels) -> None:
    metadata = message_from_string(read(wheels.ours(distribution), "/METADATA"))
    for text in metadata.get_all("Requires-Dist") or []:
        assert ">=" in str(Requirement(text).specifier), text


def test_a_wheel_is_the_same_when_built_again(
    distribution: str, wheels: Wheels, tmp_path_factory: pytest.TempPathFactory
) -> None:
    again = Wheels(tmp_path_factory.mktemp("again")).ours(distribution)
    assert again.read_bytes() == wheels.ours(distribution).read_bytes()


@pytest.mark.parametrize("member", MEMBERS)
def test_a_plugin_is_found_by_its_entry_point(member: str, wheels: Wheels) -> None:
    entries = read(wheels.ours(f"fairing-{member}"), "/entry_points.txt")
    assert entries.strip() == f"[fairing.backends]\n{member} = fairing_{member}.plugin"
