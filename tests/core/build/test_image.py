"""The new image's config and manifest, from the base's."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from fairing_core.build.codec import Layer
from fairing_core.build.image import Changes, NewImage, on_top
from fairing_core.images import manifest
from fairing_core.images.manifest import Manifest
from tests.core.images.registry import TYPES, described

LAYER = Layer("sha256:new", "sha256:diff", size=7, raw_size=9)
CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-01-01T00:00:00Z",
    "config": {
        "User": "ada",
        "Env": ["PATH=/bin", "A=1", "B=x=y"],
        "Entrypoint": ["/start"],
        "Cmd": ["sh"],
        "Labels": {"a": "1"},
        "StopSignal": "SIGUSR1",
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:one"]},
    "history": [{"created_by": "one"}, {"created_by": "env", "empty_layer": True}],
    "moby.buildkit.cache.v0": "Ünknown",
    "os.features": ["x"],
}


def image(
    config: dict[str, Any] = CONFIG,
    family: str = "oci",
    told: dict[str, Any] | None = None,
    **more: Any,
) -> NewImage:
    kind, config_kind, layer = TYPES[family]
    table = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": described(b"config", config_kind),
        "layers": [{**described(b"one", layer), "annotations": {"kept": "yes"}}],
        **(told or {}),
    }
    base = manifest.read(json.dumps(table).encode(), "", "base:1")
    assert isinstance(base, Manifest)
    command = more.pop("command", ("python3", "/app/main.py"))
    changes = Changes(command, "/app", **more)
    return on_top(base, config, LAYER, changes, base_name="host/base:1")


def config(*arguments: Any, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(image(*arguments, **more).config)
    return found


def test_digests_name_the_bytes() -> None:
    made = image()
    assert made.digest == f"sha256:{hashlib.sha256(made.manifest).hexdigest()}"
    assert made.config_digest == f"sha256:{hashlib.sha256(made.config).hexdigest()}"
    table = json.loads(made.manifest)
    assert (table["config"]["digest"], table["config"]["size"]) == (
        made.config_digest,
        len(made.config),
    )


@pytest.mark.parametrize("family", ["oci", "docker"])
def test_one_family_of_types_is_kept(family: str) -> None:
    made = image(family=family)
    table = json.loads(made.manifest)
    assert made.media_type == table["mediaType"] == TYPES[family][0]
    assert table["config"]["mediaType"] == TYPES[family][1]
    assert table["layers"][-1] == {
        "mediaType": TYPES[family][2],
        "size": 7,
        "digest": "sha256:new",
    }


def test_the_bases_layers_are_named_as_they_were() -> None:
    assert json.loads(image().manifest)["layers"][0]["annotations"] == {"kept": "yes"}


def test_the_annotations_tell_this_base_and_no_other() -> None:
    told = {"annotations": {"org.opencontainers.image.base.name": "older", "version": "1"}}
    found = json.loads(image(told=told).manifest)["annotations"]
    assert found["org.opencontainers.image.base.name"] == "host/base:1"
    assert "version" not in found


def test_dockers_manifests_have_no_annotations() -> None:
    assert "annotations" not in json.loads(image(family="docker").manifest)


def test_what_is_not_changed_is_kept_even_if_unknown() -> None:
    found = config()
    changed = {"Cmd": ["python3", "/app/main.py"], "WorkingDir": "/app"}
    assert found["config"] == {**CONFIG["config"], **changed}
    assert found["moby.buildkit.cache.v0"] == "Ünknown"
    assert found["os.features"] == ["x"]
    assert found["rootfs"]["diff_ids"] == ["sha256:one", "sha256:diff"]


def test_the_base_is_not_edited() -> None:
    before = json.dumps(CONFIG)
    image(env={"A": "2"}, labels={"b": "2"}, user="7")
    assert json.dumps(CONFIG) == before


def test_history_has_an_entry_for_each_layer() -> None:
    history = config()["history"]
    assert history[:2] == CONFIG["history"]
    assert sum(not each.get("empty_layer") for each in history) == 2
    assert history[-1]["created"] == CONFIG["created"]


@pytest.mark.parametrize("history", [None, [], [{"created_by": "x"}] * 5])
def test_a_history_that_tells_of_other_layers_is_left(history: Any) -> None:
    assert config({**CONFIG, "history": history})["history"] == history


def test_without_a_history_none_is_invented() -> None:
    without = {key: value for key, value in CONFIG.items() if key != "history"}
    assert "history" not in config(without)


@pytest.mark.parametrize("inner", [None, {}])
def test_a_config_that_says_nothing_is_added_to(inner: Any) -> None:
    assert config({**CONFIG, "config": inner})["config"]["WorkingDir"] == "/app"


def test_variables_are_added_by_their_names() -> None:
    env = config(env={"A": "2", "C": "a=b"})["config"]["Env"]
    assert env == ["PATH=/bin", "A=2", "B=x=y", "C=a=b"]


def test_labels_are_added_by_their_names() -> None:
    assert config(labels={"a": "2", "b": "3"})["config"]["Labels"] == {"a": "2", "b": "3"}


@pytest.mark.parametrize("entrypoint", [[], ["/bin/sh", "-c"]])
def test_an_entrypoint_takes_the_place_of_the_bases(entrypoint: list[str]) -> None:
    found = config(entrypoint=entrypoint)["config"]
    assert (found["Entrypoint"], found["Cmd"]) == (entrypoint, ["python3", "/app/main.py"])


def test_a_user_takes_the_place_of_the_bases() -> None:
    assert config(user="7:8")["config"]["User"] == "7:8"


def test_the_same_input_gives_the_same_bytes() -> None:
    assert image() == image()


def test_without_a_command_the_base_s_stays() -> None:
    assert config(command=())["config"]["Cmd"] == ["sh"]


def test_a_new_entrypoint_without_a_command_takes_the_base_s_away() -> None:
    inner = config(command=(), entrypoint=["/bin/sh"])["config"]
    assert inner["Entrypoint"] == ["/bin/sh"]
    assert "Cmd" not in inner
