"""Builds that fail, each for real: the cause is told, soon, and nothing is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairing_core import errors
from fairing_core.build.append import AppendBuilder
from tests.bench.bases import Base
from tests.bench.registry import Registry
from tests.core.build.cluster.conftest import ENGINES, MAIN, PASSWORDS, ClusterBuilds, own, python
from tests.core.build.cluster.store import S3
from tests.core.build.conftest import context_of
from tests.core.build.harness import inline

# --- what the Dockerfile says ---------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_that_fails(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    step = python("import sys; print('on my way'); sys.exit(7)")
    target = builds.at(cluster_registry)
    error = builds.fails("run-failed", target, MAIN, own(base, step), base=base, engine=engine)
    assert "exit status 7" in str(error)
    assert "exit code 7" in str(error)
    assert "on my way" in error.tail
    assert "on my way" in builds.log


@pytest.mark.parametrize("engine", ENGINES)
def test_requirements_for_a_base_without_pip(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    wants = inline("/app/requirements.txt", b"numpy")
    error = builds.fails("run-failed", target, MAIN, wants, base=base, engine=engine)
    assert "has pip" in str(error)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_copy_of_what_is_not_there(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    step = own(base, "COPY not/there.txt /x")
    error = builds.fails("copy-failed", target, MAIN, step, base=base, engine=engine)
    assert "not/there.txt" in str(error)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_dockerfile_that_is_none(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    error = builds.fails("dockerfile", target, MAIN, own(base, "FRUM x"), base=base, engine=engine)
    assert "FRUM" in str(error).upper()


# --- bases ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_a_base_that_is_not_there(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    step = own(cluster_registry.image("nope:1"))
    builds.fails("base-not-found", target, MAIN, step, base=base, engine=engine)
    with pytest.raises(errors.ImageNotFound):
        builds(target, MAIN, base=cluster_registry.image("nope:1"), engine=engine)
    assert builds.there() == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_base_that_is_refused(
    engine: str,
    builds: ClusterBuilds,
    cluster_registry: Registry,
    cluster_basic_registry: Registry,
    base_python: Base,
    base: str,
) -> None:
    target = builds.at(cluster_registry)
    builds.at(cluster_basic_registry, user="")
    there = base_python.at(cluster_basic_registry)
    builds.fails("base-denied", target, MAIN, own(there), base=base, engine=engine)
    with pytest.raises(errors.RegistryDenied):
        builds(target, MAIN, base=there, engine=engine)


# --- pushes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["nobody", "wrong", "reader"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_push_that_is_refused(
    engine: str,
    who: str,
    builds: ClusterBuilds,
    cluster_registry: Registry,
    cluster_token_registry: Registry,
    base: str,
) -> None:
    builds.at(cluster_registry)
    target = builds.at(cluster_token_registry, user="reader" if who == "reader" else "")
    if who == "wrong":
        builds.build.login(cluster_token_registry.name, "pusher", PASSWORDS[0])
    builds.fails("push-denied", target, MAIN, base=base, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_registry_that_pods_do_not_reach(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    builds.at(cluster_registry)
    host = cluster_registry.name.partition(":")[0]
    builds.fails("registry-unreachable", f"{host}:1/x", MAIN, base=base, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_registry_that_is_not_trusted(
    engine: str,
    builds: ClusterBuilds,
    cluster_registry: Registry,
    cluster_basic_registry: Registry,
    base: str,
) -> None:
    builds.at(cluster_registry)
    target = builds.at(cluster_basic_registry)
    builds.build.access.pop(cluster_basic_registry.name)
    builds.fails("registry-untrusted", target, MAIN, base=base, engine=engine)


def test_a_digest_that_the_registry_does_not_have(
    builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    digest = f"sha256:{'1' * 64}"
    program = inline(
        "/app/main.py", f"open('/dev/termination-log', 'w').write('{digest}')".encode()
    )
    request = builds.request(target, base=base, context=context_of(program))
    entry = ["python3", "/app/main.py"]
    liar = AppendBuilder(image_name="liar", entrypoint=entry).build(request)
    error = builds.fails("image-missing", target, MAIN, base=base, engine_image=liar.image)
    assert digest in str(error)


def test_an_engine_that_tells_no_digest(
    builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    request = builds.request(target, base=base, context=context_of(MAIN))
    entry = ["python3", "/app/main.py"]
    silent = AppendBuilder(image_name="silent", entrypoint=entry).build(request)
    builds.fails("no-digest", target, MAIN, base=base, engine_image=silent.image)


# --- contexts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_a_context_that_is_gone(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str, s3: S3
) -> None:
    s3.is_lost = True
    builds.storage = s3
    target = builds.at(cluster_registry)
    builds.fails("context-missing", target, MAIN, base=base, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_store_that_refuses_the_pod(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str, s3: S3
) -> None:
    s3.reader = replace(s3.reader, secret_key=PASSWORDS[0])
    builds.storage = s3
    target = builds.at(cluster_registry)
    builds.fails("context-denied", target, MAIN, base=base, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_store_that_pods_do_not_reach(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str, s3: S3
) -> None:
    s3.pod_url = f"http://{cluster_registry.name.partition(':')[0]}:1"
    builds.storage = s3
    target = builds.at(cluster_registry)
    builds.fails("context-unreachable", target, MAIN, base=base, engine=engine)


def test_a_store_without_signed_urls_for_an_engine_that_needs_one(
    builds: ClusterBuilds, cluster_registry: Registry, base: str, s3: S3
) -> None:
    class Unsigned(S3):
        def signed_url(self, url: str, *, seconds: float, mode: str = "read") -> None:
            return None

    builds.storage = Unsigned(s3.store, s3.reader, s3.bucket)
    with pytest.raises(errors.Unsupported, match="engine='kaniko'"):
        builds(builds.at(cluster_registry), MAIN, base=base, engine="buildah")


# --- the cluster ----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_out_of_memory_in_a_step(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    step = own(base, python("x = bytearray(1500 << 20)"))
    limit = {"limits": {"memory": "600Mi"}}
    error = builds.fails(
        "out-of-memory", target, MAIN, step, base=base, engine=engine, resources=limit
    )
    assert "memory" in str(error)


def test_out_of_memory_of_the_engine(
    builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    step = own(base, python("open('/big', 'wb').write(__import__('os').urandom(300 << 20))"))
    more = ["--compressed-caching=true"]
    error = builds.fails(
        "out-of-memory",
        target,
        MAIN,
        step,
        base=base,
        resources={"limits": {"memory": "400Mi"}},
        extra_args=more,
    )
    assert "400Mi" in str(error)


def test_more_than_the_node_gives_it_of_its_disk(
    builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    code = "import time; open('/big', 'wb').write(bytes(100 << 20)); time.sleep(60)"
    limit = {"limits": {"ephemeral-storage": "20Mi"}}
    builds.fails("evicted", target, MAIN, own(base, python(code)), base=base, resources=limit)


def test_no_node_has_room(builds: ClusterBuilds, cluster_registry: Registry, base: str) -> None:
    target = builds.at(cluster_registry)
    error = builds.fails(
        "unschedulable", target, MAIN, base=base, resources={"cpu": 900}, start_timeout=3
    )
    assert "cpu=900" in str(error)


@pytest.mark.parametrize("engine", ENGINES)
def test_longer_than_its_timeout(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    step = own(base, python("import time; print('slow', flush=True); time.sleep(60)"))
    error = builds.fails("deadline", target, MAIN, step, base=base, engine=engine, timeout=8)
    assert "slow" in error.tail


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_is_not_in_its_registry(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    image = cluster_registry.image("nope:1")
    target = builds.at(cluster_registry)
    error = builds.fails(
        "image-not-found", target, MAIN, base=base, engine=engine, engine_image=image
    )
    assert image in str(error)


def test_a_service_account_that_is_not_there(
    builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    error = builds.fails("service-account", target, MAIN, base=base, service_account="ghost")
    assert "ghost" in str(error)


def test_a_quota(builds: ClusterBuilds, cluster_registry: Registry, base: str) -> None:
    builds.bench.kubectl("create", "quota", "none", "--hard=pods=0")
    builds.fails("quota", builds.at(cluster_registry), MAIN, base=base)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_restricted_namespace(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    level = "pod-security.kubernetes.io/enforce=restricted"
    builds.bench.kubectl("label", "namespace", builds.bench.namespace, level)
    target = builds.at(cluster_registry)
    error = builds.fails("admission", target, MAIN, base=base, engine=engine)
    assert "'restricted:latest'" in str(error)
    assert "namespace=" in str(error)


def test_a_job_that_somebody_deletes(
    builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    def delete(name: str, /, **fields: str | float) -> None:
        if "on my way" in str(fields.get("line")):
            builds.bench.kubectl("delete", "jobs", "--all", "--wait=false")

    builds.build.report = delete  # type: ignore[method-assign]
    step = own(base, python("import time; print('on my way', flush=True); time.sleep(60)"))
    builds.fails("deleted", builds.at(cluster_registry), MAIN, step, base=base)
