from __future__ import annotations

import os
import random
import socket
import stat
import sys
import tarfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core import errors
from fairing_core.build.layer import BLOCK, MTIME, check_destination, tar
from fairing_core.types import ContextFile
from tests.core.build.harness import contents, inline, made, members, names, on_disk, run, sha256

KNOWN = (
    inline("/app/data/é.txt", b"caf\xc3\xa9"),
    inline("/app/main.py", b"print()\n"),
    inline("/app/run.sh", b"#!/bin/sh\n", 0o755),
    inline("/opt/" + "d" * 90 + "/" + "n" * 90, b""),
)


# --- the same bytes -------------------------------------------------------------------------------


def test_the_layer_of_known_files_never_changes() -> None:
    # If this has to change, so has layer.FORMAT.
    known = "sha256:2e48c88fa90d51f857597696ad6d480e194dde416ac7e28e354f1b00a685b206"
    assert sha256(made(*KNOWN, uid=1000, gid=100)) == known


def test_folder_day_umask_and_order_do_not_matter(tmp_path: Path) -> None:
    written = {"a.py": b"1", "b/c.py": b"2" * 700, "b/d": b""}
    one = [on_disk(tmp_path / "one" / k, f"/app/{k}", v) for k, v in written.items()]
    before = os.umask(0o077)
    try:
        two = [on_disk(tmp_path / "t" / "wo" / k, f"/app/{k}", v) for k, v in written.items()]
    finally:
        os.umask(before)
    for file in two:
        assert isinstance(file.content, Path)
        os.utime(file.content, (1, 1))
    assert made(*one) == made(*reversed(two))


def test_a_file_here_and_the_same_bytes_make_one_layer(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(BLOCK + 1)
    file = on_disk(tmp_path / "x", "/app/x", content)
    assert made(file) == made(inline("/app/x", content))


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Pago_Pago", "UTC"])
def test_a_program_can_zip_its_own_code_in_any_time_zone(tmp_path: Path, zone: str) -> None:
    path = tmp_path / "x.py"
    path.write_bytes(b"")
    os.utime(path, (MTIME, MTIME))
    program = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').write(sys.argv[2])"
    run("env", f"TZ={zone}", sys.executable, "-c", program, tmp_path / "x.zip", path)


# --- what others read in it -----------------------------------------------------------------------


def test_gnu_tar_and_python_find_the_same_files(tmp_path: Path) -> None:
    files = [
        on_disk(tmp_path / "in" / "a", "/app/a.py", b"a" * 512),
        on_disk(tmp_path / "in" / "b", "/app/" + "deep/" * 50 + "b.sh", b"b" * 513, 0o755),
        on_disk(tmp_path / "in" / "c", "/app/" + "c" * 250, b""),
        inline("/app/ü/ñ", b"d"),
        inline(os.fsdecode(b"/app/\xff\xfe"), b"e"),
    ]
    archive = made(*files, uid=1000, gid=100)
    outcomes = []
    for tool in ("gnu", "python"):
        out = tmp_path / tool
        out.mkdir()
        (tmp_path / "x.tar").write_bytes(archive)
        if tool == "gnu":
            run("tar", "-xpf", tmp_path / "x.tar", "-C", out, "--no-same-owner")
        else:
            with tarfile.open(tmp_path / "x.tar") as opened:
                opened.extractall(out, filter="tar")
        found = {}
        for path in out.rglob("*"):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            mode = stat.S_IMODE(status.st_mode)
            found[f"/{path.relative_to(out)}"] = (mode, int(status.st_mtime), content)
        outcomes.append(found)
    assert outcomes[0] == outcomes[1]
    for file in files:
        content = file.content if isinstance(file.content, bytes) else file.content.read_bytes()
        assert outcomes[0][file.destination] == (file.mode, MTIME, content)
    assert outcomes[0]["/app/deep"] == (0o755, MTIME, None)


def test_every_entry_has_the_owner_as_a_number_only() -> None:
    for member in members(made(*KNOWN, uid=1000, gid=100)):
        assert (member.uid, member.gid) == (1000, 100)
        assert (member.uname, member.gname) == ("", "")


def test_an_owner_beyond_two_million_is_kept(tmp_path: Path) -> None:
    # Such as OpenShift hands out.
    archive = made(inline("/app/a"), uid=1_000_650_000, gid=2_097_152)
    assert {(member.uid, member.gid) for member in members(archive)} == {(1_000_650_000, 2_097_152)}
    (tmp_path / "x.tar").write_bytes(archive)
    listing = run("tar", "--numeric-owner", "-tvf", tmp_path / "x.tar")
    assert listing.count("1000650000/2097152") == 2


@pytest.mark.parametrize(
    "name",
    [
        "n" * 96,  # with "app/", the 100 bytes that fit
        "n" * 97,
        "d" * 250 + "/" + "n" * 49,  # 300 bytes
        "d" * 151 + "/" + "n" * 100,  # the longest prefix and the longest rest
        "d" * 152 + "/" + "n" * 100,
        "d" * 151 + "/" + "n" * 101,
        "d/" * 75 + "n" * 100,
        "d" * 200 + "/n",
        "d" * 97 + "/n",
        "été",
        "日本語/" * 40 + "x",
        "a b\n\t'\"=",
        os.fsdecode(b"\xe9t\xe9"),
        os.fsdecode(b"\xff" * 255),
        "CON:\\",
        "...",
        ".hidden/.wheel",
    ],
)
def test_a_name_is_kept(tmp_path: Path, name: str) -> None:
    archive = made(inline(f"/app/{name}", b"content"))
    assert contents(archive) == {f"/app/{name}": b"content"}
    (tmp_path / "x.tar").write_bytes(archive)
    run("tar", "-xf", tmp_path / "x.tar", "-C", tmp_path, "--no-same-owner")
    assert (tmp_path / "app" / name).read_bytes() == b"content"


def test_a_name_that_fits_needs_no_pax_record() -> None:
    archive = made(inline("/app/" + "d" * 151 + "/" + "n" * 100), folders=[])
    assert len(archive) == 512 + 512 + 1024  # header, content, end


@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=120)
        .map(lambda raw: raw.replace(b"\0", b"0").strip(b"/."))
        .filter(lambda raw: raw and b"//" not in raw and b"/." not in raw),
        st.binary(max_size=2000) | st.integers(BLOCK - 2000, BLOCK + 2000).map(bytes),
        max_size=6,
    )
)
def test_any_names_and_sizes_come_out_as_they_went_in(files: dict[bytes, bytes]) -> None:
    given = {"/app/f-" + os.fsdecode(name): content for name, content in files.items()}
    for destination in list(given):  # no file may be where another has its folder
        if any(other.startswith(destination + "/") for other in given):
            del given[destination]
    archive = made(*(inline(destination, content) for destination, content in given.items()))
    assert contents(archive) == given


def test_ten_thousand_files_are_all_there(tmp_path: Path) -> None:
    chance = random.Random(2)
    files = [
        on_disk(tmp_path / f"{i % 100}" / f"{i}", f"/app/{i % 100}/{i}", chance.randbytes(i % 5000))
        for i in range(10_000)
    ]
    found = contents(made(*files))
    assert len(found) == 10_000
    for file in files:
        assert isinstance(file.content, Path)
        assert found[file.destination] == file.content.read_bytes()


def test_all_blocks_but_the_last_are_full() -> None:
    for size in (0, BLOCK - 3072, BLOCK - 2560, BLOCK - 2048, BLOCK - 1024, 3 * BLOCK):
        sizes = [len(block) for block in tar([inline("/app/a", bytes(size))], uid=0, gid=0)]
        assert set(sizes[:-1]) <= {BLOCK}
        assert 0 < sizes[-1] <= BLOCK
        assert sum(sizes) == 512 + 512 + (size + 511) // 512 * 512 + 1024


def test_a_block_that_was_given_stays_as_it_is() -> None:
    files = [inline(f"/app/{i}", bytes([i]) * BLOCK) for i in range(4)]
    blocks = list(tar(files, uid=0, gid=0))
    assert contents(b"".join(blocks)) == {file.destination: file.content for file in files}


# --- folders --------------------------------------------------------------------------------------


def test_our_folders_are_entries_before_what_they_hold() -> None:
    archive = made(inline("/app/a"), inline("/app/b/c/d"), inline("/app/b/e"), uid=7, gid=8)
    assert names(archive) == ["app", "app/a", "app/b", "app/b/c", "app/b/c/d", "app/b/e"]
    folders = [member for member in members(archive) if member.isdir()]
    assert {(folder.mode, folder.uid, folder.gid) for folder in folders} == {(0o755, 7, 8)}


def test_the_name_of_a_folder_ends_in_one_slash() -> None:
    # Python's tarfile tells nothing of it.
    archive = made(inline("/app/b/c"))
    assert [archive[at : at + 100].rstrip(b"\0") for at in (0, 512)] == [b"app/", b"app/b/"]


def test_folders_of_the_base_image_are_no_entries() -> None:
    archive = made(inline("/usr/share/data/a"), inline("/srv/b"), inline("/application/c"))
    assert names(archive) == ["application/c", "srv/b", "usr/share/data/a"]


@pytest.mark.parametrize("prefix", ["/opt/code/", "/opt/code"])
def test_a_prefix_of_the_users_own_is_ours_but_not_what_it_lies_in(prefix: str) -> None:
    archive = made(inline("/opt/code/x/a"), inline("/app/b"), folders=[prefix])
    assert names(archive) == ["app/b", "opt/code", "opt/code/x", "opt/code/x/a"]


@pytest.mark.parametrize("prefix", ["/", "/opt", "/srv/", "/usr"])
def test_a_folder_of_every_image_is_never_ours(prefix: str) -> None:
    assert made(inline("/opt/a"), inline("/srv/b/c"), folders=[prefix]) in (
        made(inline("/opt/a"), inline("/srv/b/c"), folders=[]),
        made(inline("/opt/a"), inline("/srv/b/c"), folders=["/srv/b"]),
    )


def test_no_files_make_an_empty_archive() -> None:
    assert made() == bytes(1024)


def test_two_names_of_one_file_hold_its_bytes_twice(tmp_path: Path) -> None:
    first = on_disk(tmp_path / "a", "/app/a", b"x" * 2_000_000)
    os.link(tmp_path / "a", tmp_path / "b")
    second = ContextFile("/app/b", tmp_path / "b", size=2_000_000)
    copy = on_disk(tmp_path / "c", "/app/b", b"x" * 2_000_000)
    assert made(first, second) == made(first, copy)


# --- places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "destination",
    [
        *("/bin/x", "/sbin/x", "/lib/x.so", "/lib32/x", "/lib64/x", "/libx32/x", "/lib"),
        *("/var/run/x", "/var/lock/x", "/tmp/x", "/var/tmp/x/y", "/proc/x", "/sys/x", "/dev/shm/x"),
        *("/run/x", "/root/.config/x", "/home/jovyan/x", "/usr/sbin/x", "/etc/hosts"),
    ],
)
def test_a_place_of_the_base_image_is_refused_with_a_better_one(destination: str) -> None:
    with pytest.raises(errors.InvalidDestination, match=r"under /app/, .* output_map") as caught:
        made(inline(destination))
    assert destination in str(caught.value)


@pytest.mark.parametrize(
    "destination",
    [
        *("/app/bin/x", "/app/tmp/x", "/library/x", "/binary", "/opt/lib/x", "/mnt/x", "/srv/x"),
        *("/usr/lib/x", "/usr/local/bin/x", "/var/lib/x", "/etc/app.toml", "/app/.whatever/x"),
        *("/app/a.wh.b", "/app/..data/x", "/app/.x/..y", "/etc/hosts.d/x", "/media/x"),
    ],
)
def test_a_place_that_only_resembles_one_is_fine(destination: str) -> None:
    check_destination(destination)


@pytest.mark.parametrize("name", [".wh.x", ".wh..wh..opq", ".wh.d/x", "a/.wh."])
def test_a_name_that_layers_read_as_a_deletion_is_refused(name: str) -> None:
    with pytest.raises(errors.InvalidDestination, match=r"begins with '\.wh\.' deletes.*rename"):
        made(inline(f"/app/{name}"))


@pytest.mark.parametrize(
    "destination",
    ["", "/", "app/x", "/app//x", "/app/x/", "/app/\0", "/app/../x", "/app/./x", "/..", "//x"],
)
def test_what_is_no_path_of_a_file_is_refused(destination: str) -> None:
    with pytest.raises(errors.InvalidDestination, match="no absolute path of a file"):
        made(inline(destination))


# --- files that fail ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 600, 2 * BLOCK])
@pytest.mark.parametrize("by", [-1, 1, BLOCK])
def test_a_file_of_another_size_than_before_is_refused(tmp_path: Path, size: int, by: int) -> None:
    file = on_disk(tmp_path / "log.txt", "/app/log.txt", b"x" * size)
    (tmp_path / "log.txt").write_bytes(b"x" * max(size + by, 0))
    with pytest.raises(errors.UnreadableInput, match=r"log\.txt changed while it was read"):
        made(file)


def test_a_file_that_grows_from_nothing_is_refused(tmp_path: Path) -> None:
    file = on_disk(tmp_path / "log.txt", "/app/log.txt", b"")
    (tmp_path / "log.txt").write_bytes(b"x")
    with pytest.raises(errors.UnreadableInput, match=r"log\.txt changed while it was read"):
        made(file)


@pytest.mark.parametrize("growth", [-BLOCK, BLOCK])
def test_a_file_that_changes_between_two_blocks_is_refused(tmp_path: Path, growth: int) -> None:
    path = tmp_path / "log.txt"
    stream = tar([on_disk(path, "/app/log.txt", b"x" * 3 * BLOCK)], uid=0, gid=0)
    next(stream)
    os.truncate(path, 3 * BLOCK + growth)
    with pytest.raises(errors.UnreadableInput, match=r"log\.txt changed while it was read"):
        list(stream)


def test_a_file_that_is_gone_is_missing(tmp_path: Path) -> None:
    with pytest.raises(errors.MissingInput, match="gone does not exist"):
        made(ContextFile("/app/a", tmp_path / "gone", size=1))


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        yield tmp_path / "s"


def test_a_socket_is_refused(listening: Path) -> None:
    with pytest.raises(errors.UnreadableInput, match="is a socket, not a file"):
        made(ContextFile("/app/a", listening, size=0))


def test_a_pipe_is_refused_without_waiting_for_who_writes_to_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    began = time.monotonic()
    with pytest.raises(errors.UnreadableInput, match="is a pipe, not a file"):
        made(ContextFile("/app/a", tmp_path / "pipe", size=0))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("size", [0, 10, BLOCK])
def test_a_device_is_refused(size: int) -> None:
    with pytest.raises(errors.UnreadableInput, match="is a device, not a file"):
        made(ContextFile("/app/a", Path("/dev/zero"), size=size))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UnreadableInput, match="is a folder, not a file"):
        made(ContextFile("/app/a", tmp_path, size=0))


def test_no_file_stays_open_after_a_fault(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    broken = [
        ContextFile("/app/a", tmp_path / "pipe", size=0),
        on_disk(tmp_path / "b", "/app/b", b"x" * 3 * BLOCK),
    ]
    before = len(os.listdir("/dev/fd"))
    for file in broken:
        stream = tar([file], uid=0, gid=0)
        with pytest.raises(errors.UnreadableInput):
            for _ in stream:
                os.truncate(tmp_path / "b", 1)
    assert len(os.listdir("/dev/fd")) == before


# --- large ----------------------------------------------------------------------------------------


def test_a_file_of_nine_gib_has_its_size_in_a_pax_record(tmp_path: Path) -> None:
    size = 9 << 30
    (tmp_path / "big").touch()
    os.truncate(tmp_path / "big", size)
    stream = tar([ContextFile("/app/big", tmp_path / "big", size=size)], uid=0, gid=0)
    first = next(stream)
    stream.close()
    info = tarfile.TarInfo.frombuf(bytes(first[512:1024]), "utf-8", "strict")
    assert info.type == tarfile.XHDTYPE
    assert bytes(first[1024 : 1024 + info.size]) == b"19 size=9663676416\n"
    assert tarfile.TarInfo.frombuf(bytes(first[1536:2048]), "utf-8", "strict").name == "app/big"


def test_the_largest_size_that_fits_needs_no_record(tmp_path: Path) -> None:
    size = (8 << 30) - 1
    (tmp_path / "big").touch()
    os.truncate(tmp_path / "big", size)
    stream = tar([ContextFile("/app/big", tmp_path / "big", size=size)], uid=0, gid=0)
    first = next(stream)
    stream.close()
    assert tarfile.TarInfo.frombuf(bytes(first[512:1024]), "utf-8", "strict").size == size


def test_memory_does_not_grow_with_the_size(tmp_path: Path) -> None:
    size = 256 << 20
    (tmp_path / "big").touch()
    os.truncate(tmp_path / "big", size)
    tracemalloc.start()
    try:
        written = 0
        for block in tar([ContextFile("/app/big", tmp_path / "big", size=size)], uid=0, gid=0):
            written += len(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert written == size + 512 + 512 + 1024
    assert peak < 5 * BLOCK


def test_two_threads_can_make_layers_at_once() -> None:
    found = []
    threads = [threading.Thread(target=lambda: found.append(made(*KNOWN))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(found)) == 1
