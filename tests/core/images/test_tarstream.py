from __future__ import annotations

import contextlib
import gzip
import importlib.util
import io
import random
import sys
import tarfile
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fairing_core.images import decompress
from fairing_core.images.decompress import BadLayer
from fairing_core.images.tarstream import Entry, entries
from tests.core.images.layers import Files, Link, tar

CODECS = [
    pytest.param(None, id="isal"),
    pytest.param((decompress._Inflate, zlib.error), id="zlib"),
]


def read(stored: bytes, *, chunk: int = 777, most: int = 1 << 20) -> list[Entry]:
    chunks = (stored[at : at + chunk] for at in range(0, len(stored), chunk))
    return list(entries(chunks, lambda *_: most))


def zstd_frame(data: bytes) -> bytes:
    """A frame of one stored block (RFC 8878)."""
    assert len(data) < 128 * 1024
    size = len(data).to_bytes(4, "little")
    return b"\x28\xb5\x2f\xfd\xa0" + size + (len(data) << 3 | 1).to_bytes(3, "little") + data


names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=150
).filter(lambda part: part not in {".", ".."})
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
contents = st.one_of(
    st.binary(max_size=1500),
    st.integers(0, 3000).map(bytes),
    st.just(None),
    st.builds(Link, paths),
    st.builds(Link, paths, st.just(True)),
)


@given(
    st.dictionaries(paths, contents, max_size=6),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.sampled_from([100, 512, 5000]),
)
@example({"a" * 99: b"x", "b" * 100: b"y", "c" * 101: Link("d" * 101)}, tarfile.GNU_FORMAT, 512)
@example({"é" * 60: b"x", "folder/" * 30 + "end": Link("ü", hard=True)}, tarfile.PAX_FORMAT, 100)
def test_a_tar_reads_as_tarfile_reads_it(files: Files, format: int, chunk: int) -> None:
    stored = tar(files, format)
    with tarfile.open(fileobj=io.BytesIO(stored)) as archive:
        known = [
            (each.name, each.type, each.linkname, body.read() if (body := content) else b"")
            for each in archive
            for content in [archive.extractfile(each) if each.isreg() else None]
        ]
    found = [(each.name, each.kind, each.link, each.content) for each in read(stored, chunk=chunk)]
    assert found == known


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_names_are_relative_to_the_root(format: int) -> None:
    stored = tar({"./": None, "./a//b": b"", "/c/../d/": None, "..": None}, format)
    assert [each.name for each in read(stored)] == ["", "a/b", "d", ""]


def test_a_long_ustar_name_is_put_together() -> None:
    name = "/".join(["folder"] * 20) + "/file"
    assert [each.name for each in read(tar({name: b""}, tarfile.USTAR_FORMAT))] == [name]


def test_what_is_not_selected_is_stepped_over() -> None:
    stored = tar({"a": bytes(5000), "b": b"b", "c": bytes(700), "d": b"d"})
    found = list(entries([stored], lambda name, *_: 9 if name in {b"b", b"d"} else None))
    assert [(each.name, each.content) for each in found] == [("b", b"b"), ("d", b"d")]


def test_a_content_that_is_too_long_is_left_out() -> None:
    (first, second) = read(tar({"a": b"123", "b": b"12"}), most=2)
    assert (first.size, first.content) == (3, None)
    assert second.content == b"12"


def test_sizes_to_the_base_256_are_understood() -> None:
    member = tarfile.TarInfo("large")
    member.size = 9 << 30
    header = member.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(BadLayer, match="in the midst of a file"):
        read(header + bytes(5000))
    assert header[124] & 0x80

    def content() -> Iterator[bytes]:
        yield header
        piece = bytes(1 << 26)
        for _ in range((9 << 30) >> 26):
            yield piece
        yield tar({"next": b"x"})

    assert [each.name for each in entries(content(), lambda *_: 9)] == ["large", "next"]


def test_a_sparse_files_map_and_name_are_understood() -> None:
    body = b"3\n" + bytes(510)
    member = tarfile.TarInfo("GNUSparseFile.0/python3.11")
    member.size = len(body)
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "usr/bin/python3.11"}
    stored = member.tobuf(tarfile.PAX_FORMAT) + body + tar({"next": b""})
    assert [each.name for each in read(stored)] == ["usr/bin/python3.11", "next"]

    old = bytearray(tarfile.TarInfo("old").tobuf(tarfile.GNU_FORMAT))
    old[156:157], old[482], old[148:156] = b"S", 1, b" " * 8
    old[148:156] = b"%06o\0 " % sum(old)
    more = bytearray(512)
    more[504] = 1
    stored = bytes(old) + bytes(more) + bytes(512) + tar({"next": b""})
    assert [each.name for each in read(stored)] == ["old", "next"]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20])
def test_all_members_of_a_gzip_are_read(
    codec: decompress._Codec | None, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if codec:
        monkeypatch.setitem(sys.modules, "isal", None)
        assert decompress._gzip() == codec
    stored = tar({"a": random.Random(1).randbytes(5000), "zeros": bytes(2_000_000), "c": b"c"})
    parts = [stored[:700], stored[700:701], stored[701:]]
    packed = b"".join(gzip.compress(part, 1) for part in parts) + bytes(20)
    assert b"".join(decompress.plain([packed])) == stored
    found = read(packed, chunk=chunk)
    assert [(each.name, each.size) for each in found] == [("a", 5000), ("zeros", 2e6), ("c", 1)]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("damage", ["cut", "flipped", "tail"])
def test_a_damaged_gzip_is_told(
    codec: decompress._Codec | None, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if codec:
        monkeypatch.setitem(sys.modules, "isal", None)
    packed = bytearray(gzip.compress(tar({"a": random.Random(1).randbytes(5000)}), 1))
    if damage == "cut":
        del packed[-9:]
    elif damage == "flipped":
        packed[-5] ^= 1  # of the CRC, behind the tar's end
    else:
        packed += b"tail"
    with pytest.raises(BadLayer, match="compressed data"):
        read(bytes(packed))


def test_a_bomb_comes_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert max(len(piece) for piece in decompress.plain([bomb])) <= 1 << 20


def test_zstd_is_read_or_refused_where_there_is_no_decoder() -> None:
    stored = tar({"a": b"1", "b": b"2"})
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00xyz"
    packed = skippable + zstd_frame(stored[:1000]) + zstd_frame(stored[1000:]) + skippable
    if importlib.util.find_spec("compression"):
        assert [each.content for each in read(packed)] == [b"1", b"2"]
    else:
        with pytest.raises(BadLayer, match=r"zstd, which Python reads since 3\.14"):
            read(packed)


@pytest.mark.parametrize(
    "stored",
    [b"", bytes(512), bytes(10240), gzip.compress(bytes(1024))],
    ids=["nothing", "a block", "a record", "gzip"],  # the same in each worker
)
def test_an_empty_tar_has_no_entries(stored: bytes) -> None:
    assert read(stored) == []


def test_a_tar_need_not_have_an_end() -> None:
    assert [each.name for each in read(tar({"a": b"a"})[:1024])] == ["a"]


@pytest.mark.parametrize(
    "stored",
    [
        b"<html>" + bytes(2000),
        b"short",
        tar({"a": b"a"})[:700],
        tar({"a" * 200: b"a"}, tarfile.GNU_FORMAT)[:600],
        tar({"a": bytes(512)})[:1024] + b"x" * 512,
    ],
)
def test_what_is_no_tar_is_told(stored: bytes) -> None:
    with pytest.raises(BadLayer):
        read(stored)


def test_extended_headers_have_a_limit() -> None:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 2 << 20
    with pytest.raises(BadLayer, match="extended header has 2,097,152 bytes"):
        read(member.tobuf(tarfile.GNU_FORMAT) + bytes(2 << 20))


@given(st.binary(max_size=512), st.integers(0, 2560))
def test_damage_gives_entries_or_the_one_error(noise: bytes, at: int) -> None:
    stored = bytearray(tar({"a" * 200: b"content", "é": Link("b")}))
    stored[at : at + len(noise)] = noise
    with contextlib.suppress(BadLayer):
        read(bytes(stored))
