"""Whole builds against registries in memory that refuse, forget, redirect and hang up."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.types import RegistryAccess
from tests.core.build.conftest import COMMAND, Builds
from tests.core.build.harness import inline, members, on_disk, sha256
from tests.core.conftest import Deaf, Serve
from tests.core.images import layers
from tests.core.images.registry import CUT, RESET, Answer, FakeRegistry, described, refusal

BIG = inline("/app/big", os.urandom(6 << 20))


def image(registry: FakeRegistry, reference: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Manifest and config of what was pushed; each blob has to be there, each size right."""
    repository, _, digest = reference.partition("/")[2].partition("@")
    table = registry.table(repository, digest)
    for each in (table["config"], *table["layers"]):
        assert len(registry.blobs[repository][each["digest"]]) == each["size"]
    return table, registry.config(repository, digest)


def tags(registry: FakeRegistry, repository: str = "app") -> list[str]:
    return [name for name in registry.manifests.get(repository, {}) if ":" not in name]


def code_of(registry: FakeRegistry, reference: str) -> bytes:
    table, config = image(registry, reference)
    repository = reference.partition("/")[2].partition("@")[0]
    raw = gzip.decompress(registry.blobs[repository][table["layers"][-1]["digest"]])
    assert sha256(raw) == config["rootfs"]["diff_ids"][-1]
    return raw


# --- what is made ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["oci", "docker"])
def test_the_code_is_one_layer_on_top_of_the_base(
    build: Builds, registry: FakeRegistry, family: str
) -> None:
    digest = registry.image("base", "1", b"one", b"two", family=family)
    built = build(registry, tag="v1")
    table, config = image(registry, built.image)
    base = registry.table("base", digest)
    assert table["layers"][:2] == base["layers"]
    assert len(table["layers"]) == len(config["rootfs"]["diff_ids"]) == len(config["history"]) == 3
    assert {each["mediaType"] for each in table["layers"]} == {base["layers"][0]["mediaType"]}
    assert table["mediaType"] == base["mediaType"]
    assert config["config"]["Cmd"] == list(COMMAND)
    assert (config["config"]["User"], config["config"]["WorkingDir"]) == ("1000:100", "/app")
    assert registry.manifests["app"]["v1"][1] == registry.manifests["app"][built.image[-71:]][1]
    assert (built.uid, built.gid, built.platform) == (1000, 100, "linux/amd64")


def test_the_code_belongs_to_the_user_that_the_image_runs_as(
    build: Builds, registry: FakeRegistry
) -> None:
    passwd: layers.Files = {"etc/passwd": layers.PASSWD + b"ada:x:1234:56::/:/bin/sh\n"}
    layer = layers.layer(passwd).stored
    registry.image("base", "1", layer, config={"config": {"User": "ada"}})
    built = build(registry)
    owners = {(each.uid, each.gid) for each in members(code_of(registry, built.image))}
    assert owners == {(1234, 56)}
    assert image(registry, built.image)[1]["config"]["User"] == "ada"


@pytest.mark.parametrize(("user", "owner"), [("7", (7, 0)), ("7:8", (7, 8)), ("root", (0, 0))])
def test_another_user_may_be_named(
    build: Builds, registry: FakeRegistry, user: str, owner: tuple[int, int]
) -> None:
    registry.image("base", "1")
    built = build(registry, user=user)
    assert {(each.uid, each.gid) for each in members(code_of(registry, built.image))} == {owner}
    assert image(registry, built.image)[1]["config"]["User"] == user


def test_a_user_that_the_base_lacks_is_an_error(build: Builds, registry: FakeRegistry) -> None:
    registry.image("base", "1", layers.layer({"etc/passwd": layers.PASSWD}).stored)
    with pytest.raises(errors.ImageError, match="bob"):
        build(registry, user="bob")
    assert tags(registry) == []


@pytest.mark.parametrize("size", [1, 6 << 20])
def test_the_same_input_gives_the_same_image(
    build: Builds, registry: FakeRegistry, tmp_path: Path, size: int
) -> None:
    registry.image("base", "1")
    found = set()
    for umask, folder in ((0o022, "one"), (0o077, "two")):
        before = os.umask(umask)
        try:
            file = on_disk(tmp_path / folder / "x", "/app/x", bytes(size))
            shutil.rmtree(build.cache, ignore_errors=True)
            found.add(build(registry, file).image)
        finally:
            os.umask(before)
    assert len(found) == 1


def test_an_image_of_an_index_is_for_the_platform_that_was_asked_for(
    build: Builds, registry: FakeRegistry
) -> None:
    arm = registry.image("base", "arm", b"arm", config={"architecture": "arm64"})
    amd = registry.image("base", "amd", b"amd")
    note = registry.image("base", "note", b"note")
    entries = [
        registry.entry("base", arm, "linux/arm64"),
        registry.entry("base", amd, "linux/amd64"),
        registry.entry("base", note, "unknown/unknown"),
    ]
    registry.index("base", "1", *entries)
    built = build(registry, platform="linux/arm64")
    assert built.platform == "linux/arm64"
    assert image(registry, built.image)[0]["layers"][0]["digest"] == sha256(b"arm")
    assert image(registry, build(registry).image)[0]["layers"][0]["digest"] == sha256(b"amd")


@pytest.mark.parametrize("platform", ["linux/amd64", None])
def test_an_index_within_an_index_is_looked_into(
    build: Builds, registry: FakeRegistry, platform: str | None
) -> None:
    amd = registry.image("base", "amd", b"amd")
    inner = registry.index("base", "inner", registry.entry("base", amd, "linux/amd64"))
    registry.index("base", "1", registry.entry("base", inner, platform))
    assert image(registry, build(registry).image)[0]["layers"][0]["digest"] == sha256(b"amd")


def test_an_index_that_holds_itself_ends(build: Builds, registry: FakeRegistry) -> None:
    inner = registry.index("base", "inner")
    for count in range(9):
        entry = registry.entry("base", inner, "linux/amd64")
        inner = registry.index("base", f"inner{count}", entry)
    registry.index("base", "1", registry.entry("base", inner, "linux/amd64"))
    with pytest.raises(errors.ImageError, match="over and over"):
        build(registry)


def test_a_platform_that_the_base_lacks_is_said(build: Builds, registry: FakeRegistry) -> None:
    amd = registry.image("base", "amd")
    registry.index("base", "1", registry.entry("base", amd, "linux/amd64"))
    with pytest.raises(errors.PlatformNotFound, match=r"linux/s390x.*linux/amd64"):
        build(registry, platform="linux/s390x")


def test_a_base_for_another_platform_is_refused(build: Builds, registry: FakeRegistry) -> None:
    registry.image("base", "1", config={"architecture": "arm64"})
    with pytest.raises(errors.PlatformNotFound, match="platform='linux/arm64'"):
        build(registry)


def test_a_platform_that_came_later_is_found(build: Builds, registry: FakeRegistry) -> None:
    amd = registry.image("base", "amd")
    registry.index("base", "1", registry.entry("base", amd, "linux/amd64"))
    build(registry)
    arm = registry.image("base", "arm", b"arm", config={"architecture": "arm64"})
    registry.index("base", "1", registry.entry("base", arm, "linux/arm64"))
    assert build(registry, platform="linux/arm64").platform == "linux/arm64"


# --- refused before anything is sent --------------------------------------------------------------


def test_requirements_are_refused_with_the_way_out(build: Builds, registry: FakeRegistry) -> None:
    with pytest.raises(errors.Unsupported, match=r"requirements.txt.*base image that has them"):
        build(registry, inline("/app/requirements.txt", b"numpy"))
    assert registry.asked == []


def test_a_name_that_deletes_is_refused(build: Builds, registry: FakeRegistry) -> None:
    with pytest.raises(errors.InvalidDestination, match=r"\.wh\."):
        build(registry, inline("/app/.wh.x"))
    assert registry.asked == []


@pytest.mark.parametrize("there", ["PYTHON_VERSION=3.12.1", ""])
def test_another_python_than_the_code_needs_is_refused(
    build: Builds, registry: FakeRegistry, there: str
) -> None:
    env = ["PATH=/usr/local/bin:/usr/bin", *([there] if there else [])]
    layer = layers.layer({"etc/passwd": layers.PASSWD}).stored
    registry.image("base", "1", layer, config={"config": {"Env": env}})
    with pytest.raises(errors.ImageError, match=r"needs Python 3\.11"):
        build(registry, python="3.11")
    assert tags(registry) == []


def test_the_python_may_be_said(build: Builds, registry: FakeRegistry) -> None:
    registry.image("base", "1")
    options = {"python": "3.11"}
    from fairing_core.build.append import AppendBuilder
    from fairing_core.types import BuildRequest
    from tests.core.build.conftest import context_of

    request = BuildRequest(
        context_of(python="3.11"), base_image=f"{registry.host}/base:1", registry=registry.host
    )
    assert AppendBuilder(**options).build(request).python == "3.11"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("schema 1", {"schemaVersion": 1, "fsLayers": []}),
        ("artifact", {"config": described(b"{}", "application/vnd.acme"), "layers": []}),
        ("no layers", {"config": described(b"{}", "x"), "layers": []}),
    ],
)
def test_a_base_that_is_no_image_is_refused(
    build: Builds, registry: FakeRegistry, kind: str, table: dict[str, Any]
) -> None:
    if kind == "no layers":
        registry.image("base", "1", manifest={"layers": []})
    else:
        registry.put("base", "1", json.dumps(table).encode(), "")
    with pytest.raises(errors.ImageError, match=kind):
        build(registry)
    assert tags(registry) == []


def test_a_base_whose_config_does_not_fit_its_layers_is_refused(
    build: Builds, registry: FakeRegistry
) -> None:
    registry.image("base", "1", config={"rootfs": {"type": "layers", "diff_ids": []}})
    with pytest.raises(errors.ImageError, match="does not fit its layers"):
        build(registry)


def test_a_base_that_is_not_there_is_named(build: Builds, registry: FakeRegistry) -> None:
    with pytest.raises(errors.ImageNotFound, match="base:1"):
        build(registry)
    assert tags(registry) == []


# --- requests -------------------------------------------------------------------------------------


def test_the_bases_layers_are_mounted(build: Builds, registry: FakeRegistry) -> None:
    registry.image("base", "1", b"one", b"two")
    build(registry)
    assert registry.count("POST", "mount=") == 2
    assert (build.traffic["mounted"], build.traffic["copied"]) == (2, 0)
    assert registry.count("GET", "/blobs/") == 1  # the config


def test_in_the_bases_own_repository_nothing_is_mounted(
    build: Builds, registry: FakeRegistry
) -> None:
    registry.image("app", "1", b"one")
    build(registry, base=f"{registry.host}/app:1")
    assert registry.count("POST", "mount=") == 0


def test_what_is_unchanged_costs_two_heads(build: Builds, registry: FakeRegistry) -> None:
    registry.image("base", "1")
    first = build(registry)
    registry.asked.clear()
    assert build(registry) == first
    assert sorted(str(each)[:4] for each in registry.asked) == ["HEAD", "HEAD"]


def test_a_change_sends_no_more_than_itself(build: Builds, registry: FakeRegistry) -> None:
    registry.image("base", "1", b"one", b"two")
    build(registry)
    registry.asked.clear()
    build(registry, inline("/app/main.py", b"print(2)"))
    assert registry.count("POST", "mount=") == 0
    assert registry.count("GET") == 0
    assert registry.count("PUT", "/blobs/") == 2
    assert registry.count("PUT", "/manifests/") == 1


def test_a_base_that_moved_is_built_on(build: Builds, registry: FakeRegistry) -> None:
    registry.image("base", "1", b"old")
    build(registry)
    registry.image("base", "1", b"new")
    built = build(registry)
    assert image(registry, built.image)[0]["layers"][0]["digest"] == sha256(b"new")


def test_a_base_that_moved_and_took_its_layers_along_is_built_on(
    build: Builds, registry: FakeRegistry
) -> None:
    registry.image("base", "1", b"old")
    build(registry)
    registry.blobs["base"].clear()
    registry.blobs["app"].clear()
    registry.image("base", "1", b"new")
    built = build(registry, image_name="other")
    assert image(registry, built.image)[0]["layers"][0]["digest"] == sha256(b"new")


def test_a_head_that_is_not_known_falls_back_to_a_get(
    build: Builds, registry: FakeRegistry
) -> None:
    registry.image("base", "1")
    registry.script("HEAD", "base/manifests", Answer(404), Answer(405))
    image(registry, build(registry).image)
    image(registry, build(registry, inline("/app/main.py", b"2")).image)


@pytest.mark.parametrize("status", [202, 400, 403, 404, 405])
def test_a_mount_that_is_refused_is_a_copy(
    build: Builds, registry: FakeRegistry, status: int
) -> None:
    registry.image("base", "1", b"one", b"two")

    def refused(asked: Any) -> Answer | None:
        if status != 202:
            return Answer(status)
        asked.query.pop("mount")
        return None

    registry.script("POST", "mount=", refused, times=2)
    image(registry, build(registry).image)
    assert build.traffic["copied"] == 2


def test_layers_are_copied_from_another_registry_once(build: Builds, serve: Serve) -> None:
    source, target = serve(), serve()
    source.image("base", "1", b"one", b"two")
    image(target, build(target, base=source).image)
    assert build.traffic["copied"] == 2
    source.asked.clear()
    image(target, build(target, base=source, image_name="other").image)
    assert (build.traffic["copied"], build.traffic["mounted"]) == (0, 2)
    assert source.count("GET") == 0


def test_a_copy_follows_a_redirect_without_authorization(build: Builds, serve: Serve) -> None:
    source, store, target = serve(users={"ada": "s3cret"}), serve(), serve()
    build.login(source.host, "ada", "s3cret")
    source.image("base", "1", b"one")

    def elsewhere(asked: Any) -> Answer | None:
        return (
            Answer(307, {"Location": f"{store.url}/b?sig=x"})
            if asked.fields.get("authorization")
            else None
        )

    source.script("GET", f"blobs/{sha256(b'one')}", elsewhere)
    store.script("GET", "/b", Answer(200, {}, b"one"))
    image(target, build(target, base=source).image)
    assert "authorization" not in store.asked[0].fields


def test_a_copy_whose_source_hangs_up_goes_on(build: Builds, serve: Serve) -> None:
    source, target = serve(), serve()
    source.image("base", "1", b"one" * 100_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"
    source.script(
        "GET",
        f"blobs/{sha256(b'one' * 100_000)}",
        Answer(raw=head + b"one" * 1000),
        CUT,
        Answer(raw=b""),
    )
    image(target, build(target, base=source).image)


# --- a tag only on a whole image ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "method"),
    [
        (inline("/app/x"), "POST"),
        (inline("/app/x"), "PUT"),
        (BIG, "POST"),
        (BIG, "PUT"),
        (BIG, "PATCH"),
    ],
    ids=["small, POST", "small, PUT", "big, POST", "big, PUT", "big, PATCH"],
)
def test_a_blob_that_is_refused_leaves_no_tag(
    build: Builds, registry: FakeRegistry, file: Any, method: str
) -> None:
    registry.image("base", "1")
    answer = refusal(403, "DENIED", "requested access is denied")
    registry.script(method, "app/blobs/uploads", answer, times=99)
    with pytest.raises(errors.RegistryDenied, match="requested access is denied") as caught:
        build(registry, file)
    assert (caught.value.status, caught.value.code) == (403, "DENIED")
    assert pickle.loads(pickle.dumps(caught.value)).host == registry.host
    assert registry.count("PUT", "/manifests/") == 0


@pytest.mark.parametrize("fault", [CUT, RESET, Answer(500), Answer(429, {"Retry-After": "0"})])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_fault_that_passes_is_got_over(
    build: Builds, registry: FakeRegistry, fault: Answer, method: str
) -> None:
    registry.image("base", "1", b"one")
    registry.script(method, "uploads", fault)
    image(registry, build(registry, BIG).image)


def test_a_base_that_cant_be_copied_leaves_no_tag(build: Builds, serve: Serve) -> None:
    source, target = serve(), serve()
    source.image("base", "1", b"one")
    source.script("GET", f"blobs/{sha256(b'one')}", Answer(200, {}, b"bad"), times=9)
    with pytest.raises(errors.RegistryError, match="damaged"):
        build(target, base=source)
    assert target.count("PUT", "/manifests/") == 0


@pytest.mark.parametrize(
    "detail",
    [str, lambda digest: {"Digest": digest}, lambda digest: None],
    ids=["text", "object", "none"],
)
def test_a_registry_that_lost_blobs_gets_them_again(
    build: Builds, registry: FakeRegistry, detail: Any
) -> None:
    registry.image("base", "1", b"one", b"two")
    build(registry)
    registry.blobs["app"].clear()
    registry.manifests["app"].clear()
    registry.detail = detail
    image(registry, build(registry).image)
    image(registry, build(registry, BIG).image)


def test_a_registry_that_loses_blobs_at_once_is_reported(
    build: Builds, registry: FakeRegistry
) -> None:
    registry.image("base", "1")
    answer = refusal(400, "MANIFEST_BLOB_UNKNOWN")
    registry.script("PUT", "manifests", answer, times=9)
    with pytest.raises(errors.RegistryError, match="lacks blobs that it has just taken"):
        build(registry)


@pytest.mark.parametrize(
    "answer",
    [
        refusal(400, "TAG_INVALID", "tag is immutable"),
        refusal(403, "DENIED", "tag is immutable"),
        refusal(409, "CONFLICT", "tag is immutable"),
    ],
)
def test_a_tag_that_is_not_allowed_keeps_the_registrys_words(
    build: Builds, registry: FakeRegistry, answer: Answer
) -> None:
    registry.image("base", "1")
    registry.script("PUT", "manifests", answer)
    with pytest.raises(
        errors.RegistryError, match=r"can't tag .*/app:v1: tag is immutable"
    ) as caught:
        build(registry, tag="v1")
    assert caught.value.status == answer.status
    assert tags(registry) == []


def test_a_file_that_changes_while_it_is_read_leaves_no_tag(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.image("base", "1")
    file = on_disk(tmp_path / "x", "/app/x", bytes(6 << 20))
    with open(tmp_path / "x", "ab") as more:
        more.write(b"x")
    with pytest.raises(errors.UnreadableInput, match="changed while it was read"):
        build(registry, file)
    assert registry.count("PUT", "/manifests/") == 0


def test_a_token_that_expires_in_mid_push_is_renewed(build: Builds, serve: Serve) -> None:
    registry = serve(users={"ada": "s3cret"}, tokens=True)
    registry.image("base", "1")
    build.login(registry.host, "ada", "s3cret")

    def expired(asked: Any) -> None:
        registry.revoke()

    registry.script("PATCH", "uploads", expired)
    registry.script("PUT", "uploads", expired)
    registry.script("PUT", "manifests", expired)
    image(registry, build(registry, BIG).image)


def test_wrong_credentials_are_said(build: Builds, serve: Serve) -> None:
    registry = serve(users={"ada": "s3cret"})
    registry.image("base", "1")
    build.login(registry.host, "ada", "wr0ng")
    with pytest.raises(errors.RegistryDenied, match="'ada'") as caught:
        build(registry)
    assert "wr0ng" not in str(caught.value)


def test_a_registry_with_tls_and_its_own_authority_is_pushed_to(
    build: Builds, serve: Serve, authority: Path, certificate: tuple[Path, Path]
) -> None:
    registry = serve(tls=certificate)
    registry.image("base", "1", b"one")
    with pytest.raises(errors.UntrustedRegistry):
        build(registry)
    build.access[registry.host] = RegistryAccess(ca=authority)
    image(registry, build(registry, BIG).image)


# --- the cache ------------------------------------------------------------------------------------


def test_a_cache_of_garbage_is_no_hindrance(build: Builds, registry: FakeRegistry) -> None:
    registry.image("base", "1", b"one")
    first = build(registry)
    for garbage in (b"", b"{", b"null", b"[3]", b'"x"', b'{"a": 1}', b"\xff", b"7"):
        for path in build.cache.rglob("*"):
            if path.is_file():
                path.write_bytes(garbage)
        registry.manifests["app"].clear()
        assert build(registry) == first
        image(registry, first.image)


def test_a_cache_that_vanishes_in_mid_run_is_no_hindrance(
    build: Builds, registry: FakeRegistry
) -> None:
    registry.image("base", "1", b"one")
    for method in ("HEAD", "GET", "POST", "PUT"):
        registry.script(
            method, "/v2/", lambda asked: shutil.rmtree(build.cache, ignore_errors=True), times=3
        )
    image(registry, build(registry, BIG).image)
    image(registry, build(registry, BIG).image)


def test_many_processes_may_build_at_once(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.image("base", "1", b"one", b"two")
    running = [start(registry.host, tmp_path, f"print({count % 2})") for count in range(4)]
    found = [each.communicate(timeout=60) for each in running]
    assert [each.returncode for each in running] == [0] * 4, found
    assert len({out for out, _ in found}) == 2
    for out, _ in found:
        image(registry, out.strip())


def test_no_secret_can_be_read_by_others(build: Builds, serve: Serve) -> None:
    registry = serve(users={"ada": "s3cret"}, tokens=True)
    registry.image("base", "1")
    build.login(registry.host, "ada", "s3cret")
    build(registry)
    found = [path for path in build.cache.rglob("*") if path.is_file()]
    assert found
    assert {oct(path.stat().st_mode & 0o777) for path in found} == {"0o600"}
    assert not [path for path in found if b"s3cret" in path.read_bytes()]


# --- interrupted ----------------------------------------------------------------------------------


def start(host: str, tmp_path: Path, code: str, *more: str) -> subprocess.Popen[str]:
    """`fairing build` of a script, on ``base:1`` of the registry `host`, to its ``app``."""
    folder = tmp_path / f"code-{sha256(code.encode())[7:15]}"
    folder.mkdir(exist_ok=True)
    script = folder / "main.py"
    script.write_text(code)
    command = [str(Path(sys.executable).with_name("fairing")), "build", str(folder)]
    words = ["-b", f"{host}/base:1", *(more or ("-t", f"{host}/app"))]
    return subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )


def interrupted(running: subprocess.Popen[str]) -> None:
    """Ctrl-C: it ends at once, by the exit code of that, and without a traceback."""
    began = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=20)
    assert time.monotonic() - began < 3
    assert running.returncode == 130
    assert "Traceback" not in told


@pytest.mark.parametrize("where", ["base/manifests", "app/blobs/uploads", "app/manifests"])
@pytest.mark.parametrize("answer", [Answer(200, after=30), Answer(503, {"Retry-After": "30"})])
def test_an_interrupt_ends_at_once_and_leaves_no_tag(
    build: Builds, registry: FakeRegistry, tmp_path: Path, where: str, answer: Answer
) -> None:
    registry.image("base", "1", b"one")
    for method in ("HEAD", "GET", "POST", "PUT"):
        registry.script(method, where, answer, times=99)
    running = start(registry.host, tmp_path, "print(1)")
    deadline = time.monotonic() + 20
    while not any(where in each.target for each in registry.asked):
        assert time.monotonic() < deadline, running.poll()
        time.sleep(0.01)
    time.sleep(0.2)
    interrupted(running)
    assert tags(registry) == []


def test_an_interrupt_ends_at_once_where_nobody_answers(
    build: Builds, deaf: Deaf, tmp_path: Path
) -> None:
    host = deaf.full().removeprefix("https://")
    running = start(host, tmp_path, "print(1)")
    assert running.stderr is not None
    assert running.stderr.readline().startswith("packaged")
    time.sleep(0.5)  # it is connecting
    interrupted(running)


def test_an_interrupted_layout_leaves_nothing(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.image("base", "1", b"one")
    registry.script("GET", f"blobs/{sha256(b'one')}", Answer(200, after=30), times=9)
    out = tmp_path / "out"
    out.mkdir()
    running = start(registry.host, tmp_path, "print(1)", "--output", str(out / "image"))
    while not registry.count("GET", sha256(b"one")):
        time.sleep(0.01)
    time.sleep(0.2)
    interrupted(running)
    assert list(out.iterdir()) == []


# --- what would be made ---------------------------------------------------------------------------


ENV = ["PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.11.9"]


def said(checks: Any) -> dict[str, bool | None]:
    return {check.name: check.ok for check in checks}


def test_what_is_foreseen_is_what_is_then_built(build: Builds, registry: FakeRegistry) -> None:
    registry.image("base", "1", config={"config": {"Env": ENV, "User": "7:8"}})
    foreseen, checks = build.foresee(registry, python="3.11", tag="v1")
    assert foreseen.image == f"{registry.host}/app:v1"
    assert said(checks) == {"base image": True, "push": True, "user": True, "python": True}
    assert not registry.manifests.get("app")
    assert not registry.blobs.get("app")
    built = build(registry, python="3.11", tag="v1")
    assert (foreseen.uid, foreseen.gid, foreseen.python) == (7, 8, "3.11")
    again, _ = build.foresee(registry, python="3.11", tag="v1")
    assert again == built
    shutil.rmtree(build.home / "cache")
    assert build.foresee(registry, python="3.11", tag="v1")[0] == built


def test_a_base_that_can_not_be_built_on_is_foreseen(build: Builds, registry: FakeRegistry) -> None:
    foreseen, checks = build.foresee(registry)
    assert said(checks) == {"base image": False, "push": True}
    assert foreseen.uid is None


def test_a_python_that_the_base_lacks_is_foreseen(build: Builds, registry: FakeRegistry) -> None:
    registry.image("base", "1", config={"config": {"Env": ENV}})
    _, checks = build.foresee(registry, python="3.9")
    assert said(checks) == {"base image": True, "push": True, "user": True, "python": False}
    assert "needs Python 3.9" in checks[-1].detail


def test_a_push_that_will_be_refused_is_foreseen(build: Builds, registry: FakeRegistry) -> None:
    registry.image("base", "1")
    registry.script("POST", "/blobs/uploads/", refusal(403, "DENIED", "not yours"))
    foreseen, checks = build.foresee(registry)
    assert said(checks)["push"] is False
    assert "@" not in foreseen.image


def test_a_folder_needs_no_push(build: Builds, registry: FakeRegistry, tmp_path: Path) -> None:
    registry.image("base", "1")
    _, checks = build.foresee(registry, push=False, output=tmp_path / "x.oci")
    assert said(checks) == {"base image": True, "user": True}
    assert not (tmp_path / "x.oci").exists()
