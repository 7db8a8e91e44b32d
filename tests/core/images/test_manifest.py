"""Manifests, indexes and configs of both families, damaged ones, and what is no image."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.images import manifest
from fairing_core.images.manifest import Descriptor, Index, Manifest, Platform
from tests.core.images.registry import INDEXES, OCI, TYPES, described

AMD64 = Platform("linux", "amd64")


def table(family: str = "oci", **more: Any) -> dict[str, Any]:
    kind, config, layer = TYPES[family]
    return {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": described(b"config", config),
        "layers": [described(b"layer", layer)],
        **more,
    }


def read(value: Any, kind: str = "") -> Manifest | Index:
    return manifest.read(json.dumps(value).encode(), kind, "base:1")


def entry(platform: str | None, name: str = "", **more: Any) -> dict[str, Any]:
    found = described((platform or name).encode(), TYPES["oci"][0])
    if platform is not None:
        names = ("os", "architecture", "variant")
        found["platform"] = dict(zip(names, platform.split("/"), strict=False))
    return {**found, **more}


def choose(platform: str, *entries: dict[str, Any]) -> str:
    found = read({"mediaType": INDEXES["oci"], "manifests": entries})
    assert isinstance(found, Index)
    digest = found.choose(Platform.parse(platform), "base:1").digest
    (chosen,) = [each for each in entries if each["digest"] == digest]
    return str(manifest.Platform.of(chosen.get("platform", {})))


@pytest.mark.parametrize("family", ["oci", "docker"])
def test_both_families_are_read(family: str) -> None:
    found = read(table(family))
    assert isinstance(found, Manifest)
    assert found.is_docker == (family == "docker")
    assert [layer.media_type for layer in found.layers] == [TYPES[family][2]]


def test_the_registrys_word_counts_where_the_manifest_does_not_say_its_type() -> None:
    value = table()
    del value["mediaType"]
    assert read(value, f"{TYPES['oci'][0]}; charset=utf-8").media_type == TYPES["oci"][0]


@pytest.mark.parametrize("family", ["oci", "docker"])
def test_both_kinds_of_index_are_read(family: str) -> None:
    found = read({"mediaType": INDEXES[family], "manifests": [entry("linux/amd64")]})
    assert isinstance(found, Index)
    assert found.choose(AMD64, "base:1").size == len("linux/amd64")


def test_schema_1_is_refused_with_the_way_out() -> None:
    with pytest.raises(errors.ImageError, match=r"schema 1.*push it again"):
        read({"schemaVersion": 1, "fsLayers": []})


def test_signed_schema_1_is_refused_too() -> None:
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    with pytest.raises(errors.ImageError, match="schema 1"):
        read({"fsLayers": []}, kind)


@pytest.mark.parametrize("kind", ["application/vnd.cncf.helm.config.v1+json", f"{OCI}.empty"])
def test_an_artifact_is_no_image(kind: str) -> None:
    with pytest.raises(errors.ImageError, match="artifact of type"):
        read(table(config=described(b"{}", kind)))


def test_a_manifest_of_another_type_is_no_image() -> None:
    with pytest.raises(errors.ImageError, match="no image"):
        read({"mediaType": f"{OCI}.artifact.manifest.v1+json"})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"<html>",
        b"[" * 100_000,
        b'{"layers": 3, "config": {}}',
        b'{"layers": [], "config": null}',
        b'{"layers": [], "config": {"digest": 1, "size": 1}}',
        b'{"layers": [], "config": {"digest": "sha256:../x", "size": 1}}',
        b'{"layers": [], "config": {"digest": "sha256:ab", "size": -1}}',
        b'{"layers": [], "config": {"digest": "sha256:ab", "size": "1"}}',
        b'{"layers": ["x"]}',
        b'{"manifests": 3}',
        b'{"manifests": [3]}',
        b'{"manifests": [{"digest": "sha256:ab", "size": 1, "platform": [1]}]}',
        b'{"manifests": [{"digest": "sha256:ab", "size": 1, "platform": "linux"}]}',
    ],
)
def test_a_damaged_manifest_is_an_error_of_the_image(raw: bytes) -> None:
    with pytest.raises(errors.ImageError):
        found = manifest.read(raw, "", "base:1")
        assert isinstance(found, Index)
        found.choose(AMD64, "base:1")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"rootfs": 3}',
        b"[" * 100_000,
        b'{"rootfs": {"diff_ids": 3}}',
        b'{"rootfs": {"diff_ids": []}, "config": [1]}',
        b'{"rootfs": {"diff_ids": []}, "history": {}}',
        b'{"rootfs": {"diff_ids": []}, "history": [3]}',
        b'{"rootfs": {"diff_ids": []}, "config": {"Env": "A=1"}}',
        b'{"rootfs": {"diff_ids": []}, "config": {"Labels": [1]}}',
    ],
)
def test_a_damaged_config_is_an_error_of_the_image(raw: bytes) -> None:
    with pytest.raises(errors.ImageError, match="damaged"):
        manifest.read_config(raw, "base:1")


@pytest.mark.parametrize("key", ["config", "history"])
def test_a_config_may_say_null(key: str) -> None:
    raw = json.dumps({"rootfs": {"diff_ids": None}, key: None}).encode()
    assert manifest.read_config(raw, "base:1")[key] is None


# --- platforms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64", ""])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="linux/amd64"):
        Platform.parse(text)


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/arm64", ["linux/amd64", "linux/arm64/v8"], "linux/arm64/v8"),
        ("linux/arm64/v8", ["linux/arm64"], "linux/arm64"),
        ("linux/arm/v7", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm", ["linux/arm/v5", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["unknown/unknown", "linux/amd64"], "linux/amd64"),
    ],
)
def test_the_entry_that_serves_best_is_chosen(wanted: str, there: list[str], chosen: str) -> None:
    assert choose(wanted, *(entry(each) for each in there)) == chosen


def test_the_first_of_equals_is_chosen() -> None:
    value = [entry("linux/amd64"), {**entry("linux/amd64"), "digest": "sha256:ab"}]
    found = read({"mediaType": INDEXES["oci"], "manifests": value})
    assert isinstance(found, Index)
    assert found.choose(AMD64, "base:1").digest == value[0]["digest"]


@pytest.mark.parametrize("there", [["linux/arm64"], ["windows/amd64"], ["linux/arm/v7"], []])
def test_a_platform_that_is_not_there_is_said_with_those_that_are(there: list[str]) -> None:
    with pytest.raises(errors.PlatformNotFound, match=there[0] if there else "nothing"):
        choose("linux/amd64", *(entry(each) for each in there))


def test_attestations_are_no_platforms() -> None:
    with pytest.raises(errors.PlatformNotFound) as caught:
        choose("linux/amd64", entry("linux/arm64"), entry("unknown/unknown"))
    assert "unknown" not in str(caught.value)


def test_an_entry_without_a_platform_may_serve() -> None:
    entries = [entry("linux/arm64"), entry(None, "nested")]
    assert choose("linux/amd64", *entries) == "linux"


def test_an_entry_of_the_platform_is_taken_before_one_without() -> None:
    assert choose("linux/amd64", entry(None, "nested"), entry("linux/amd64")) == "linux/amd64"


def test_foreign_layers_are_known() -> None:
    kinds = [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        f"{OCI}.layer.nondistributable.v1.tar+gzip",
        TYPES["oci"][2],
    ]
    assert [Descriptor("sha256:ab", 1, kind).is_elsewhere for kind in kinds] == [True, True, False]
