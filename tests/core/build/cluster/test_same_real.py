"""One project, built by every builder: what runs in a pod is the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fairing_core.build.append import AppendBuilder
from fairing_core.build.docker.builder import DockerBuilder
from fairing_core.types import Built, ContextFile
from tests.bench.bases import Base
from tests.bench.docker import socket_of
from tests.bench.judges import Judges
from tests.bench.registry import Registry
from tests.core.build.cluster.conftest import ENGINES, ClusterBuilds
from tests.core.build.conftest import context_of
from tests.core.build.harness import inline
from tests.core.build.test_append_real import judge

if TYPE_CHECKING:
    from docker import DockerClient

NAMES = (
    *("a b", "$HOME", "${HOME}", 'say "hi"', "it's", "back\\slash", "[ab]", "*", "?", "ü.txt"),
    *("#x", "%d", "a=b", "{x}", "--flag", "~", "tab\tin", "\\$x", "[]]", "l\nf", "日本", "x" * 120),
)
PROGRAM = b"""
import hashlib, json, os, pathlib, stat, sys
here = pathlib.Path(__file__).parent
found = {}
for root in (here, pathlib.Path("/opt"), pathlib.Path("/srv")):
    for path in sorted([root, *root.rglob("*")]):
        told = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        mode = oct(stat.S_IMODE(told.st_mode))
        found[str(path)] = [mode, told.st_uid, told.st_gid, content]
(here / "out.txt").write_text("beside")
(here / "sub" / "out.txt").write_text("below")
(here / "new").mkdir()
env = {name: value for name, value in os.environ.items() if "KUBERNETES" not in name}
del env["HOSTNAME"]
told = [os.getuid(), os.getgid(), os.getcwd(), sys.argv, env, found]
print(json.dumps(told, sort_keys=True), flush=True)
print("to stderr", file=sys.stderr)
sys.exit(3)
"""
ENV = {"PLAIN": "x", "DOLLAR": "$HOME ${PATH}", "QUOTES": "\"a\" 'b'", "BACK": "a\\b", "U": "ü"}


def files() -> list[ContextFile]:
    found = [
        inline("/app/main.py", PROGRAM),
        inline("/app/sub/data", b"data"),
        inline("/app/sub/run.sh", b"#!/bin/sh\n", mode=0o755),
        inline("/app/empty", b""),
        inline("/srv/model/weights", b"w"),
        inline("/srv/model/run", b"w", mode=0o755),
    ]
    return [*found, *(inline(f"{place}{name}") for name in NAMES for place in ("/app/n/", "/opt/"))]


def made(builder: str, builds: ClusterBuilds, target: str, base: str) -> Built:
    """The project, built by a builder by its name: a new one is a line more."""
    context = context_of(*files(), python="3.11")
    options: dict[str, Any] = {"image_name": builder, "env": ENV, "labels": ENV}
    request = builds.request(target, base=base, context=context)
    if builder == "docker":
        host = f"unix://{socket_of(builds.bench.bench)}"
        return DockerBuilder(host=host, network="host", **options).build(request)
    if builder == "append":
        return AppendBuilder(**options).build(request)
    return builds(target, base=base, context=context, engine=builder, **options)


def outcome(builds: ClusterBuilds, built: Built) -> list[Any]:
    code, said = builds.runs(built)
    rest, told = sorted(said.splitlines(), key=len)  # two streams have no order
    return [code, rest, *json.loads(told)]


@pytest.mark.parametrize("fixture", ["base_python", "base_user"])
@pytest.mark.parametrize("builder", [*ENGINES, "docker"])
def test_it_behaves_as_the_one_of_append(
    builder: str,
    fixture: str,
    builds: ClusterBuilds,
    cluster_registry: Registry,
    base_python: Base,
    base_user: Base,
    judges: Judges,
    docker_engine: DockerClient,
    request: pytest.FixtureRequest,
) -> None:
    base = request.getfixturevalue(fixture).at(cluster_registry)
    target = builds.at(cluster_registry)
    built = made(builder, builds, target, base)
    appended = made("append", builds, target, base)
    told, other = (outcome(builds, one) for one in (built, appended))
    seen, there = told.pop(), other.pop()
    assert told == other
    differing = {path: (seen.get(path), at) for path, at in there.items() if seen.get(path) != at}
    # What is no folder of every base belongs to the program; `append`, which looks at none, leaves
    # it root's.
    assert differing.keys() == ({"/srv/model"} if fixture == "base_user" else set())
    assert seen.keys() == there.keys()
    assert told[0] == 3
    assert seen["/opt/$HOME"][0] == "0o644"
    facts = [built.uid, built.gid, built.python, built.platform]
    assert facts == [appended.uid, appended.gid, "3.11", "linux/amd64"]
    if builder == "docker":
        docker_engine.images.remove(docker_engine.images.get(built.image).id, force=True)
    config = judge(judges, cluster_registry, built.image)["config"]
    plain = judge(judges, cluster_registry, appended.image)["config"]
    config["Env"], plain["Env"] = sorted(config["Env"]), sorted(plain["Env"])
    assert {key: config.get(key) for key in plain} == plain
