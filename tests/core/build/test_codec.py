from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core import errors
from fairing_core.build.codec import (
    PIECE,
    Buffer,
    Codec,
    Compressor,
    best_codec,
    codec_name,
    compress,
    isal_codec,
    zlib_codec,
)
from fairing_core.build.layer import tar
from tests.core.build.harness import contents, inline, on_disk, run, run_python, sha256

CODECS = [pytest.param(isal_codec(), id="isal"), pytest.param(zlib_codec(), id="zlib")]
TEXT = b"".join(
    b"def function_%d(argument):\n    return argument * %d\n" % (i, i) for i in range(90_000)
)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def packed(data: bytes, codec: Codec) -> bytes:
    out = io.BytesIO()
    compress([data], out.write, codec)
    return out.getvalue()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [0, 1, 5, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, len(TEXT)])
def test_what_comes_out_is_gzip_of_what_went_in(tmp_path: Path, codec: Codec, size: int) -> None:
    data = packed(TEXT[:size], codec)
    assert gzip.decompress(data) == TEXT[:size]
    (tmp_path / "x.gz").write_bytes(data)
    run("gzip", "-t", tmp_path / "x.gz")


@pytest.mark.parametrize("codec", CODECS)
def test_the_layer_tells_sizes_and_digests(codec: Codec) -> None:
    out = io.BytesIO()
    layer = compress([TEXT], out.write, codec)
    assert layer.digest == sha256(out.getvalue())
    assert layer.diff_id == sha256(TEXT)
    assert (layer.size, layer.raw_size) == (len(out.getvalue()), len(TEXT))


@pytest.mark.parametrize("codec", CODECS)
def test_the_header_has_neither_time_nor_name(codec: Codec) -> None:
    assert packed(b"x", codec)[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@pytest.mark.parametrize("codec", CODECS)
def test_all_pieces_are_one_gzip_member(codec: Codec) -> None:
    stream = zlib.decompressobj(31)
    assert stream.decompress(packed(TEXT, codec)) == TEXT
    assert stream.eof
    assert stream.unused_data == b""


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [1000, 1 << 16, PIECE, PIECE + 1, 1 << 22])
def test_how_the_stream_arrives_does_not_change_the_bytes(codec: Codec, size: int) -> None:
    out = io.BytesIO()
    compress(map(memoryview, cut(TEXT, size)), out.write, codec)
    assert out.getvalue() == packed(TEXT, codec)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no processor can be chosen here")
@pytest.mark.parametrize("codec", CODECS)
def test_the_number_of_processors_does_not_change_the_bytes(codec: Codec) -> None:
    program = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from fairing_core.build import codec\n"
        "kind = codec.isal_codec() if sys.argv[1].startswith('isal') else codec.zlib_codec()\n"
        "print(codec.compress([sys.stdin.buffer.read()], len, kind).digest)\n"
    )
    digest = run_python(program, codec.name, feed=TEXT)
    assert digest == compress([TEXT], len, codec).digest


def test_the_layer_is_the_same_whichever_codec_packs_it() -> None:
    one, other = (compress([TEXT], len, codec) for codec in (isal_codec(), zlib_codec()))
    assert (one.diff_id, one.raw_size) == (other.diff_id, other.raw_size)


@pytest.mark.parametrize("codec", CODECS)
def test_pieces_cost_almost_no_space(codec: Codec) -> None:
    whole = zlib.compressobj(1, zlib.DEFLATED, 31)
    expected = len(whole.compress(TEXT) + whole.flush())
    assert compress([TEXT], len, codec).size < expected * 1.15
    noise = random.Random(3).randbytes(3 * PIECE)
    assert compress([noise], len, codec).size < len(noise) * 1.01


def test_isal_is_chosen_where_it_is_installed() -> None:
    assert best_codec() == isal_codec()


def test_without_isal_zlib_stands_in() -> None:
    program = (
        "import sys; sys.modules['isal'] = None\n"
        "from fairing_core.build import codec\n"
        "print(codec.codec_name(), codec.compress([b'x'], len).diff_id)\n"
    )
    name, diff_id = run_python(program).split()
    assert name == zlib_codec().name
    assert diff_id == sha256(b"x")


def test_the_name_of_the_codec_tells_version_and_level() -> None:
    import isal

    assert codec_name() == f"isal-{isal.__version__}-1"
    assert zlib_codec().name == f"zlib-{zlib.ZLIB_RUNTIME_VERSION}-1"


def test_importing_it_imports_no_codec() -> None:
    program = "import sys, fairing_core.build.codec; print('isal' in sys.modules)"
    assert run_python(program) == "False"


@given(st.lists(st.binary(max_size=3000)), st.sampled_from([isal_codec(), zlib_codec()]))
def test_any_stream_comes_out_as_it_went_in(blocks: list[bytes], codec: Codec) -> None:
    out = io.BytesIO()
    layer = compress(blocks, out.write, codec)
    assert gzip.decompress(out.getvalue()) == b"".join(blocks)
    assert layer.diff_id == f"sha256:{hashlib.sha256(b''.join(blocks)).hexdigest()}"


# --- while it is made -----------------------------------------------------------------------------


def test_blocks_can_be_sent_before_the_stream_has_ended() -> None:
    taken = 0

    def endless() -> Iterator[Buffer]:
        nonlocal taken
        while True:
            taken += 1
            yield TEXT[:PIECE]

    blocks = Compressor().blocks(endless())
    for _ in range(3):
        next(blocks)
    blocks.close()
    assert taken <= 3 + 4 + 1


def test_the_layer_is_known_once_the_last_block_was_taken() -> None:
    compressor = Compressor()
    blocks = compressor.blocks([TEXT])
    next(blocks)
    with pytest.raises(ValueError, match="before all of its blocks were taken"):
        _ = compressor.layer
    rest = list(blocks)
    assert rest
    assert compressor.layer.diff_id == sha256(TEXT)


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_fault_of_the_stream_comes_out(taken: int) -> None:
    def broken() -> Iterator[Buffer]:
        yield from [TEXT[:PIECE]] * taken
        raise errors.UnreadableInput("x changed")

    compressor = Compressor()
    with pytest.raises(errors.UnreadableInput, match="x changed"):
        list(compressor.blocks(broken()))
    with pytest.raises(ValueError, match="not known"):
        _ = compressor.layer


def test_no_thread_stays() -> None:
    before = threading.active_count()
    compress([TEXT], len)
    blocks = Compressor().blocks([TEXT])
    next(blocks)
    blocks.close()
    assert threading.active_count() == before


def test_a_compressor_can_be_used_again() -> None:
    compressor = Compressor()
    first = list(compressor.blocks([TEXT]))
    assert list(compressor.blocks([TEXT])) == first


def test_a_packed_layer_holds_the_files(tmp_path: Path) -> None:
    big = random.Random(4).randbytes(PIECE) * 3
    files = [
        on_disk(tmp_path / "big", "/app/big", big),
        *(inline(f"/app/{i:04d}.py", b"%d\n" % i * i) for i in range(1000)),
    ]
    out = io.BytesIO()
    compress(tar(files, uid=0, gid=0), out.write)
    found = contents(gzip.decompress(out.getvalue()))
    assert found == {"/app/big": big} | {
        file.destination: file.content for file in files if isinstance(file.content, bytes)
    }


def test_memory_does_not_grow_with_the_size(tmp_path: Path) -> None:
    program = (
        "import resource, sys, pathlib\n"
        "from fairing_core.build import codec, layer\n"
        "from fairing_core.types import ContextFile\n"
        "path, size = pathlib.Path(sys.argv[1]), int(sys.argv[2])\n"
        "file = ContextFile('/app/big', path, size=size)\n"
        "codec.compress(layer.tar([file], uid=0, gid=0), len)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    peaks = []
    for size in (PIECE // 4, 256 << 20):
        (tmp_path / "big").touch()
        os.truncate(tmp_path / "big", size)
        peaks.append(int(run_python(program, tmp_path / "big", str(size))))
    kib = 1 if sys.platform == "linux" else 1024  # what the kernel counts in
    assert (peaks[1] - peaks[0]) / kib < 20_000
