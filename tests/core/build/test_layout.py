"""Images that are written to a folder instead of a registry."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from tests.core.build.conftest import Builds
from tests.core.build.harness import inline, on_disk, sha256
from tests.core.images.registry import TYPES, Answer, FakeRegistry, described
from tests.core.local.test_full_disk import _namespace


def judged(folder: Path) -> dict[str, Any]:
    """The manifest of a layout, each blob of which is there and is what it is called."""
    assert json.loads((folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((folder / "index.json").read_bytes())
    assert index["schemaVersion"] == 2
    blobs = folder / "blobs" / "sha256"
    for path in blobs.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name

    def read(entry: dict[str, Any]) -> bytes:
        content: bytes = (blobs / entry["digest"].partition(":")[2]).read_bytes()
        assert len(content) == entry["size"]
        return content

    (entry,) = index["manifests"]
    table: dict[str, Any] = json.loads(read(entry))
    assert table["mediaType"] == entry["mediaType"]
    named = [table["config"], *table["layers"]]
    for each in named:
        read(each)
    assert len({each["digest"] for each in named}) + 1 == len(list(blobs.iterdir()))
    config = json.loads(read(table["config"]))
    assert len(config["rootfs"]["diff_ids"]) == len(table["layers"])
    return {"entry": entry, "manifest": table, "config": config}


def write(build: Builds, registry: FakeRegistry, output: Path, *files: Any, **more: Any) -> str:
    return build(registry, *files, push=False, output=output, **more).image


@pytest.mark.parametrize("family", ["oci", "docker"])
def test_a_layout_is_a_whole_image(
    build: Builds, registry: FakeRegistry, tmp_path: Path, family: str
) -> None:
    registry.image("base", "1", b"one", b"two", family=family)
    image = write(build, registry, tmp_path / "out", tag="v1")
    found = judged(tmp_path / "out")
    assert image == f"oci:{tmp_path / 'out'}@{found['entry']['digest']}"
    assert found["entry"]["annotations"] == {"org.opencontainers.image.ref.name": "v1"}
    assert found["entry"]["platform"] == {"os": "linux", "architecture": "amd64"}
    assert len(found["manifest"]["layers"]) == 3


def test_a_layout_has_the_digest_of_what_would_be_pushed(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.image("base", "1", b"one")
    image = write(build, registry, tmp_path / "out")
    assert image.rpartition("@")[2] == build(registry).image.rpartition("@")[2]


def test_nothing_is_pushed(build: Builds, registry: FakeRegistry, tmp_path: Path) -> None:
    registry.image("base", "1")
    write(build, registry, tmp_path / "out")
    assert {each.method for each in registry.asked} <= {"GET", "HEAD"}


def test_a_layer_that_is_there_twice_is_written_once(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.image("base", "1", b"one", b"one")
    write(build, registry, tmp_path / "out")
    assert len(judged(tmp_path / "out")["manifest"]["layers"]) == 3


def test_a_foreign_layer_is_left_where_it_is(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    foreign = {**described(b"gone", kind), "urls": ["https://elsewhere.test/x"]}
    entries = [foreign, described(b"one", TYPES["docker"][2])]
    registry.image("base", "1", b"none", b"one", family="docker", manifest={"layers": entries})
    write(build, registry, tmp_path / "out")
    image = build(registry).image
    assert registry.table("app", image.rpartition("@")[2])["layers"][0] == foreign


def test_a_layout_takes_the_place_of_another(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.image("base", "1", b"one")
    write(build, registry, tmp_path / "out")
    write(build, registry, tmp_path / "out", inline("/app/other.py"))
    judged(tmp_path / "out")


def test_a_layout_that_a_link_leads_to_is_replaced(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.image("base", "1", b"one")
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    first = write(build, registry, tmp_path / "out")
    second = write(build, registry, tmp_path / "out", inline("/app/other.py"))
    assert second != first
    assert second.endswith(judged(tmp_path / "disk")["entry"]["digest"])
    assert (tmp_path / "out").is_symlink()
    assert not list(tmp_path.glob(".*"))


def test_a_layout_that_can_not_take_the_place_of_another_leaves_that(
    build: Builds, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.image("base", "1", b"one")
    first = write(build, registry, tmp_path / "out" / "image")
    rename = Path.rename

    def stopped(self: Path, target: Path) -> Path:
        if target == tmp_path / "out" / "image" and "before" not in self.name:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(KeyboardInterrupt):
        write(build, registry, tmp_path / "out" / "image", inline("/app/other.py"))
    assert first.endswith(judged(tmp_path / "out" / "image")["entry"]["digest"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["image"]


def test_an_empty_folder_is_filled(build: Builds, registry: FakeRegistry, tmp_path: Path) -> None:
    registry.image("base", "1", b"one")
    (tmp_path / "out").mkdir()
    write(build, registry, tmp_path / "out")
    judged(tmp_path / "out")


def test_a_folder_of_other_files_is_refused(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    with pytest.raises(errors.InvalidArgument, match="would be lost"):
        write(build, registry, tmp_path / "out")
    assert (tmp_path / "out" / "letter.txt").read_text() == "dear"
    assert registry.asked == []


def test_a_file_in_its_place_is_refused(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("dear")
    with pytest.raises(errors.InvalidArgument, match="is a file"):
        write(build, registry, tmp_path / "out")


def test_without_a_place_it_is_named_for_the_image(
    build: Builds, registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.image("base", "1", b"one")
    monkeypatch.chdir(tmp_path)
    build(registry, push=False, image_name="team/train")
    judged(tmp_path / "train.oci")


@pytest.mark.parametrize("answer", [Answer(200, {}, b"bad"), Answer(404), Answer(403)])
def test_a_base_that_cant_be_read_leaves_what_was_there(
    build: Builds, registry: FakeRegistry, tmp_path: Path, answer: Answer
) -> None:
    registry.image("base", "1", b"one")
    before = write(build, registry, tmp_path / "out" / "image")
    registry.script("GET", f"blobs/{sha256(b'one')}", answer, times=9)
    with pytest.raises(errors.RegistryError):
        write(build, registry, tmp_path / "out" / "image", inline("/app/other.py"))
    entry = judged(tmp_path / "out" / "image")["entry"]
    assert before.endswith(entry["digest"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["image"]


def test_a_file_that_cant_be_read_leaves_nothing(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.image("base", "1", b"one")
    file = on_disk(tmp_path / "x", "/app/x", b"x")
    (tmp_path / "x").write_bytes(b"longer")
    (tmp_path / "out").mkdir()
    with pytest.raises(errors.InputError, match="changed"):
        write(build, registry, tmp_path / "out" / "image", file)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_layer_that_is_cut_goes_on(build: Builds, registry: FakeRegistry, tmp_path: Path) -> None:
    layer = b"one" * 100_000
    registry.image("base", "1", layer)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"
    registry.script("GET", f"blobs/{sha256(layer)}", Answer(raw=head + layer[:1000]))
    write(build, registry, tmp_path / "out")
    judged(tmp_path / "out")


FULL = """
import sys
from pathlib import Path
from fairing_core import errors
from fairing_core.build.append import AppendBuilder
from fairing_core.types import BuildRequest
from tests.core.build.conftest import context_of
disk = Path(sys.argv[1])
builder = AppendBuilder(push=False, output=disk / "image")
try:
    builder.build(BuildRequest(context_of(), base_image=sys.argv[2]))
except errors.StateError as exc:
    print("No space left" in str(exc), "name another place" in str(exc), list(disk.iterdir()))
"""


def test_a_full_disk_is_said_and_left_empty(
    build: Builds, registry: FakeRegistry, tmp_path: Path
) -> None:
    command = _namespace()
    if command is None:
        pytest.skip("no small disk can be mounted: run as root, or allow user namespaces")
    registry.image("base", "1", bytes(3 << 20))
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=1m tmpfs {disk} && exec "$@"'
    python = [sys.executable, "-c", FULL, str(disk), f"{registry.host}/base:1"]
    words = [*command, "sh", "-c", mount, "sh", *python]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("True True []\n", "")
