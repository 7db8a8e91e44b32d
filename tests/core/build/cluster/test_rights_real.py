"""What a service account has to be allowed, verb by verb."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.types import ContextFile
from tests.bench.registry import Registry
from tests.core.build.cluster.conftest import MAIN, ClusterBuilds
from tests.core.build.harness import inline
from tests.core.cluster.conftest import ROLE

LARGE = inline("/app/large", os.urandom(2 << 20))
RIGHTS = (
    ("jobs", "create"),
    ("jobs", "get"),
    ("jobs", "patch"),
    ("pods", "get"),
    ("pods", "list"),
    ("pods/log", "get"),
    ("secrets", "create"),
    ("pods/attach", "create"),
    ("pods/attach", "get"),
)


def as_somebody(
    builds: ClusterBuilds, tmp_path: Path, resource: str = "", verb: str = ""
) -> ClusterBuilds:
    """Builds of a service account that has both Roles, less one verb."""
    import yaml

    bench = builds.bench
    bench.kubectl("create", "serviceaccount", "somebody")
    for file in (ROLE, ROLE.with_name("role-build.yaml")):
        role = yaml.safe_load(file.read_text())
        for rule in role["rules"]:
            if rule["resources"] == [resource]:
                rule["verbs"].remove(verb)
        role["rules"] = [rule for rule in role["rules"] if rule["verbs"]]
        role["metadata"]["namespace"] = bench.namespace
        bench.apply(role)
        name = role["metadata"]["name"]
        subject = f"--serviceaccount={bench.namespace}:somebody"
        bench.kubectl("create", "rolebinding", name, f"--role={name}", subject)
    builds.config = bench.kubeconfig("somebody", tmp_path / "somebody")
    return builds


@pytest.mark.parametrize("files", [(MAIN,), (MAIN, LARGE)], ids=["small", "large"])
def test_the_two_roles_are_enough(
    files: tuple[ContextFile, ...],
    builds: ClusterBuilds,
    cluster_registry: Registry,
    base: str,
    tmp_path: Path,
) -> None:
    builds = as_somebody(builds, tmp_path)
    target = builds.at(cluster_registry)
    assert all(check.ok is not False for check in builds.foresee(target, *files, base=base)[1])
    builds(target, *files, base=base)
    assert builds.left() == []


@pytest.mark.parametrize(("resource", "verb"), RIGHTS)
def test_a_verb_that_is_missing_is_named(
    resource: str,
    verb: str,
    builds: ClusterBuilds,
    cluster_registry: Registry,
    base: str,
    tmp_path: Path,
) -> None:
    builds = as_somebody(builds, tmp_path, resource, verb)
    target = builds.at(cluster_registry)
    files = (MAIN, LARGE) if resource == "pods/attach" else (MAIN,)
    with pytest.raises(errors.ClusterDenied) as caught:
        builds(target, *files, base=base)
    denied = caught.value
    assert (denied.resource, denied.verb) == (resource, verb)
    assert denied.namespace == builds.bench.namespace
    assert f"may not {verb} {resource} in the namespace" in str(denied)
    assert builds.left() == []
    refused = [check for check in builds.foresee(target, *files, base=base)[1] if not check.ok]
    assert any(f"may not {verb} {resource}" in check.detail for check in refused)


def test_who_may_not_delete_is_told_and_keeps_the_image(
    builds: ClusterBuilds,
    cluster_registry: Registry,
    base: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    builds = as_somebody(builds, tmp_path, "jobs", "delete")
    built = builds(builds.at(cluster_registry), MAIN, base=base)
    assert "@sha256:" in built.image
    assert "left to expire: you may not delete jobs" in caplog.text
