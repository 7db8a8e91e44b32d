"""Images that `fairing build` makes: judged by crane and skopeo, run by containerd and Docker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.bench import bases
from tests.bench.bases import Base
from tests.bench.judges import Judges, Refused
from tests.bench.kubernetes.client import Cluster
from tests.bench.registry import Registry
from tests.e2e.conftest import Builder

if TYPE_CHECKING:
    from docker import DockerClient

Make = Callable[..., Builder]

BASES = pytest.mark.parametrize(
    ("fixture", "uid"), [("base_python", 0), ("base_user", bases.UID), ("base_ml", 0)]
)
SAID = "{} by itself /app\n"


def image_of(registry: Registry, judges: Judges, image: str, user: str = "") -> dict[str, Any]:
    """Its config, after both judges have taken it."""
    judges.crane(registry, "validate", "--remote", image, user=user)
    judges.skopeo(registry, "inspect", f"docker://{image}", user=user)
    config: dict[str, Any] = json.loads(judges.crane(registry, "config", image, user=user))
    return config


@BASES
@pytest.mark.real
def test_a_pod_runs_it_and_the_program_writes_beside_itself(
    fixture: str,
    uid: int,
    request: pytest.FixtureRequest,
    cluster: Cluster,
    cluster_registry: Registry,
    judges: Judges,
    builder: Make,
) -> None:
    base: Base = request.getfixturevalue(fixture)
    target = cluster_registry.image("train")
    image = builder(cluster_registry)("-b", base.at(cluster_registry), "-t", target)
    config = image_of(cluster_registry, judges, image)
    pod = cluster.pod("train", *config["config"]["Cmd"], image=image)
    pod["spec"]["containers"][0]["workingDir"] = config["config"]["WorkingDir"]
    assert cluster.run(pod) == SAID.format(uid)


@BASES
@pytest.mark.real
def test_the_docker_engine_runs_it_by_the_base_s_entrypoint(
    fixture: str,
    uid: int,
    request: pytest.FixtureRequest,
    docker_engine: DockerClient,
    plain_registry: Registry,
    judges: Judges,
    builder: Make,
) -> None:
    base: Base = request.getfixturevalue(fixture)
    image = builder()("-b", base.at(plain_registry), "-t", plain_registry.image("train"))
    before = image_of(plain_registry, judges, base.at(plain_registry))
    after = image_of(plain_registry, judges, image)
    for key in ("User", "Env", "Entrypoint"):
        assert after["config"].get(key) == before["config"].get(key)
    assert after["rootfs"]["diff_ids"][:-1] == before["rootfs"]["diff_ids"]
    said = docker_engine.containers.run(image, network_mode="host", remove=True)
    assert said.decode() == SAID.format(uid)


@pytest.mark.parametrize("user", ["1234", "1234:5678", "nobody"])
def test_it_runs_as_the_user_that_was_asked_for(
    user: str,
    docker_engine: DockerClient,
    plain_registry: Registry,
    base_python: Base,
    builder: Make,
) -> None:
    target = plain_registry.image("train")
    image = builder()("-b", base_python.at(plain_registry), "-t", target, "--user", user)
    said = docker_engine.containers.run(image, network_mode="host", remove=True)
    uid = {"nobody": "65534"}.get(user, user.partition(":")[0])
    assert said.decode() == SAID.format(uid)


@pytest.mark.parametrize("fixture", ["plain_registry", "basic_registry", "token_registry"])
@pytest.mark.real
def test_every_kind_of_registry_takes_it_and_mounts_the_base(
    fixture: str,
    request: pytest.FixtureRequest,
    judges: Judges,
    base_ml: Base,
    builder: Make,
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    user = "pusher" if registry.users else ""
    build = builder(registry, user)
    done = build.run("-b", base_ml.at(registry), "-t", registry.image("train"), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["mounted"] == 2
    assert told["sent"] < 20_000
    image_of(registry, judges, told["image"], user)


@pytest.mark.parametrize("fixture", ["basic_registry", "token_registry"])
@pytest.mark.real
def test_who_may_not_push_is_told_and_nothing_is_tagged(
    fixture: str, request: pytest.FixtureRequest, base_python: Base, judges: Judges, builder: Make
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    target = registry.image("train:v1")
    ended = builder(registry).run("-b", base_python.at(registry), "-t", target)
    assert ended.returncode == 102
    assert f"docker login {registry.name}" in ended.stderr
    with pytest.raises(Refused):
        judges.crane(registry, "digest", target, user="pusher")


def test_the_second_push_to_another_registry_copies_nothing(
    plain_registry: Registry,
    two_name_registry: Registry,
    base_ml: Base,
    judges: Judges,
    builder: Make,
) -> None:
    build = builder()
    base = base_ml.at(plain_registry)

    def push(name: str) -> dict[str, Any]:
        done = build.run("-b", base, "-t", two_name_registry.image(name), "--json")
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        image_of(two_name_registry, judges, told["image"])
        return told

    push("first")
    assert push("second")["sent"] < 20_000


def test_the_same_code_gives_the_same_image_in_another_folder(
    plain_registry: Registry, base_python: Base, builder: Make
) -> None:
    base, target = base_python.at(plain_registry), plain_registry.image("train")
    digests = {
        builder(name=name)("-b", base, "-t", target).partition("@")[2]
        for name in ("here", "there/deeper")
    }
    assert len(digests) == 1


def test_an_oci_layout_is_what_skopeo_copies_and_a_registry_takes(
    plain_registry: Registry, base_python: Base, judges: Judges, builder: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "train.oci"
    said = builder()("-b", base_python.at(plain_registry), "--output", folder)
    digest = said.rpartition("@")[2]
    copy = plain_registry.image("copied:1")
    judges.crane(plain_registry, "push", str(folder), copy)
    assert judges.crane(plain_registry, "digest", copy) == digest
    image_of(plain_registry, judges, copy)


@pytest.mark.parametrize(("family", "kind"), [("vnd.docker.", "v2s2"), ("vnd.oci.", "oci")])
def test_an_image_keeps_to_its_base_s_family(
    family: str,
    kind: str,
    plain_registry: Registry,
    base_python: Base,
    judges: Judges,
    builder: Make,
) -> None:
    source, base = base_python.at(plain_registry), plain_registry.image("base:1")
    judges.skopeo(
        plain_registry,
        "copy",
        f"--format={kind}",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        f"docker://{source}",
        f"docker://{base}",
    )
    image = builder()("-b", base, "-t", plain_registry.image("train"))
    image_of(plain_registry, judges, image)
    manifest = json.loads(judges.crane(plain_registry, "manifest", image))
    kinds = [manifest["mediaType"], *(layer["mediaType"] for layer in manifest["layers"])]
    assert all(family in each for each in kinds)


def test_of_an_index_the_platform_s_image_is_built_on(
    plain_registry: Registry, base_python: Base, judges: Judges, builder: Make
) -> None:
    index, arm = plain_registry.image("index:1"), plain_registry.image("arm:1")
    source = base_python.at(plain_registry)
    judges.crane(plain_registry, "mutate", source, "--set-platform", "linux/arm64", "-t", arm)
    judges.crane(plain_registry, "index", "append", "-m", source, "-m", arm, "-t", index)
    image = builder()("-b", index, "-t", plain_registry.image("train"), "--platform", "linux/arm64")
    assert image_of(plain_registry, judges, image)["architecture"] == "arm64"
    refused = builder().run(
        "-b", index, "-t", plain_registry.image("train"), "--platform", "linux/s390x"
    )
    assert refused.returncode == 98
    assert "linux/amd64, linux/arm64" in refused.stderr
