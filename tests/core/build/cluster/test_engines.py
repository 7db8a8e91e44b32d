from __future__ import annotations

import subprocess

import pytest

from fairing_core.build.cluster.engines import ENGINES, Order

ORDER = Order(
    context="tar://stdin",
    destination="h:1/a:b",
    platform="linux/arm64",
    insecure=["h:1", "i"],
    trusting={"j": "/kaniko/certificates/j/ca.crt"},
    logins=True,
    cache="h:1/cache",
    more=["--flag=$X 'y'"],
)


def test_kaniko_s_flags() -> None:
    made = ENGINES["kaniko"].container(ORDER)
    assert made["args"] == [
        "--context=tar://stdin",
        "--context-sub-path=context",
        "--dockerfile=Dockerfile",
        "--destination=h:1/a:b",
        "--custom-platform=linux/arm64",
        "--digest-file=/dev/termination-log",
        "--log-format=text",
        "--log-timestamp=false",
        "--compressed-caching=false",
        "--insecure-registry=h:1",
        "--insecure-registry=i",
        "--registry-certificate=j=/kaniko/certificates/j/ca.crt",
        "--cache=true",
        "--cache-repo=h:1/cache",
        "--cache-copy-layers",
        "--flag=$X 'y'",
    ]
    assert made["securityContext"]["allowPrivilegeEscalation"] is False
    assert made["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_kaniko_s_context_is_a_folder_where_another_has_unpacked_it() -> None:
    order = Order(context=None, destination="a", platform="linux/amd64")
    assert ENGINES["kaniko"].container(order)["args"][0] == "--context=dir:///workspace"


def test_buildah_gets_no_word_by_way_of_the_shell() -> None:
    made = ENGINES["buildah"].container(ORDER)
    shell, flag, script, name = made["command"]
    assert (shell, flag, name) == ("/bin/sh", "-c", "h:1/a:b")
    assert made["args"] == ["--flag=$X 'y'"]
    env = {one["name"]: one["value"] for one in made["env"]}
    assert env["REGISTRY_AUTH_FILE"] == "/etc/fairing/config.json"
    assert 'location = "h:1"\ninsecure = true' in env["REGISTRIES"]
    assert "h:1" not in script
    # What it would call, shown by a shell that has functions of those names.
    shown = f'buildah() {{ printf "<%s>" "$@"; echo; }}\n{script}'
    done = subprocess.run(
        ["/bin/sh", "-c", shown, name, *made["args"]],
        env={**env, "CONTAINERS_REGISTRIES_CONF": "/dev/null"},
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    build, push = done.stdout.splitlines()
    assert build.startswith("<build>")
    assert build.endswith("<--tag><h:1/a:b><--flag=$X 'y'></workspace/context>")
    assert push == "<push><--digestfile></dev/termination-log><h:1/a:b>"


@pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))
def test_every_engine_says_what_it_needs(engine: object) -> None:
    assert "namespace=" in str(getattr(engine, "needs", ""))
