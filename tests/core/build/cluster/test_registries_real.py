"""Registries of every kind, as pods reach them; logins are where they have to be only."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.bench.bases import Base
from tests.bench.bench import Bench
from tests.bench.judges import Judges
from tests.bench.kubernetes import cluster as bench_cluster
from tests.bench.kubernetes import network
from tests.bench.registry import Registry
from tests.core.build.cluster.conftest import (
    ENGINES,
    MAIN,
    PASSWORDS,
    ClusterBuilds,
    own,
    python,
)
from tests.core.build.test_append_real import judge


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fixture", ["cluster_basic_registry", "cluster_token_registry"])
def test_tls_and_a_login(
    fixture: str,
    engine: str,
    builds: ClusterBuilds,
    judges: Judges,
    base_python: Base,
    request: pytest.FixtureRequest,
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    target = builds.at(registry)
    built = builds(target, MAIN, base=base_python.at(registry), engine=engine)
    judge(judges, registry, built.image, user="reader")
    assert builds.left() == []


@pytest.mark.parametrize("engine", ENGINES)
def test_base_and_target_in_different_ones_and_nobody_else_s_login(
    engine: str,
    builds: ClusterBuilds,
    judges: Judges,
    cluster_basic_registry: Registry,
    cluster_token_registry: Registry,
    base_python: Base,
    base: str,
) -> None:
    builds.build.login("elsewhere.example", "me", "unasked")
    target = builds.at(cluster_basic_registry)
    builds.at(cluster_token_registry, user="reader")
    found: list[dict[str, Any]] = []
    report = builds.build.report

    def look(name: str, /, **fields: Any) -> None:
        report(name, **fields)
        if name == "build-log" and not found:
            found.extend(builds.objects("secrets"))

    builds.build.report = look  # type: ignore[method-assign]
    mine = own(
        base_python.at(cluster_token_registry), python("print(1)")
    )  # what it names has to be known, too
    built = builds(target, MAIN, mine, base="unused/one:1", engine=engine, fetch_image=base)
    judge(judges, cluster_basic_registry, built.image, user="reader")
    (logins,) = [one for one in found if ".dockerconfigjson" in one["data"]]
    config = json.loads(base64.b64decode(logins["data"][".dockerconfigjson"]))
    assert set(config["auths"]) == {cluster_basic_registry.name, cluster_token_registry.name}
    assert all(one["metadata"]["ownerReferences"][0]["kind"] == "Job" for one in found)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_registry_that_pods_and_nodes_call_otherwise(
    engine: str,
    builds: ClusterBuilds,
    two_name_registry: Registry,
    base_python: Base,
    judges: Judges,
) -> None:
    port = two_name_registry.name.partition(":")[2]
    names = {"pod_name": f"{network.NODE}:{port}", "pull_name": two_name_registry.node_name}
    target = builds.at(two_name_registry, **names)
    base = base_python.at(two_name_registry)
    built = builds(target, MAIN, base=base, engine=engine)
    assert built.image.startswith(two_name_registry.image("app@sha256:"))
    judge(judges, two_name_registry, built.image)


@pytest.mark.parametrize("engine", ENGINES)
def test_no_password_is_anywhere_but_in_secrets(
    engine: str,
    builds: ClusterBuilds,
    bench: Bench,
    cluster_token_registry: Registry,
    base_python: Base,
    base: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    target = builds.at(cluster_token_registry)
    kinds = ("jobs", "pods", "events", "configmaps", "serviceaccounts")
    seen: list[str] = []
    report = builds.build.report

    def look(name: str, /, **fields: Any) -> None:
        report(name, **fields)
        if name == "build-log" and "on my way" in str(fields["line"]):
            seen.append(json.dumps(builds.objects(*kinds)))
            seen.append(builds.bench.kubectl("logs", "--selector=job-name", "--all-containers"))

    builds.build.report = look  # type: ignore[method-assign]
    base, pulled = base_python.at(cluster_token_registry), base
    step = python("import time; print('on my way', flush=True); time.sleep(1)")
    builds(target, MAIN, own(base, step), base=base, engine=engine, fetch_image=pulled)
    assert seen
    auth = cluster_token_registry.basic("pusher").partition(" ")[2]
    place = bench_cluster.place(bench)
    audit = place.audit.read_text(errors="replace")
    assert builds.bench.namespace in audit
    told = [*seen, caplog.text, str(builds.build.events), builds.log, audit]
    for words in told:
        assert not [secret for secret in (*PASSWORDS, auth) if secret in words]
