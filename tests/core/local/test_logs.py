"""Reading logs: exact, growing, from the end, by several."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core.local import logs
from fairing_core.local.handle import LocalRun
from tests.core.local.harness import Local, text_of, until


def test_both_outputs_are_in_the_order_they_were_written(local: Local) -> None:
    run = local.execute("sh", "-c", "echo 1; echo 2 >&2; echo 3")
    run.wait(30)
    assert list(run.logs()) == ["1\n", "2\n", "3\n"]


def test_a_last_line_without_end_stays_so(local: Local) -> None:
    run = local.execute("printf", "a\nb")
    run.wait(30)
    assert list(run.logs()) == ["a\n", "b"]
    assert list(run.logs(follow=True)) == ["a\n", "b"]


def test_lines_end_at_newlines_only(local: Local) -> None:
    text = "10%\r20%\r\na\x0bb\x0cc\x1cd\x85e\u2028f\n"
    run = local.submit(f"import sys; sys.stdout.buffer.write({text.encode()!r})")
    run.wait(30)
    assert list(run.logs()) == [line + "\n" for line in text.split("\n")[:-1]]


def test_no_output_is_no_pieces(local: Local) -> None:
    run = local.execute("true")
    run.wait(30)
    assert list(run.logs()) == []
    assert list(run.logs(follow=True)) == []


def test_unicode_comes_back(local: Local) -> None:
    text = "ä → 数据 🚀\n" * 3
    run = local.submit(f"import sys; sys.stdout.buffer.write({text.encode()!r})")
    run.wait(30)
    assert text_of(run) == text


def test_bytes_that_are_no_text_are_replaced(local: Local) -> None:
    run = local.execute("printf", r"a\377b\nc\342\202")
    run.wait(30)
    assert list(run.logs()) == ["a\ufffdb\n", "c\ufffd"]


def test_a_follower_gets_a_line_that_is_still_being_written(local: Local) -> None:
    code = """
import os, time
os.write(1, b"loss: \\xc3")
while not os.path.exists("go"):
    time.sleep(0.01)
os.write(1, b"\\xa4\\n")
"""
    run = local.submit(code)
    follower = run.logs(follow=True)
    assert next(follower) == "loss: "
    (local.folder(run) / "app" / "go").touch()
    assert list(follower) == ["ä\n"]


def test_output_is_there_before_the_program_ends(local: Local) -> None:
    run = local.submit("import time; print('epoch 1'); time.sleep(600)")
    assert next(run.logs(follow=True)) == "epoch 1\n"


def test_followers_end_with_the_run_and_get_the_same(local: Local) -> None:
    code = """
import os, time
while not os.path.exists("go"):
    time.sleep(0.01)
for n in range(20_000):
    os.write(1, b"%d\\n" % n)
"""
    run = local.submit(code)
    got: list[list[str]] = [[], []]
    threads = [
        threading.Thread(target=lambda pieces=pieces: pieces.extend(run.logs(follow=True)))
        for pieces in got
    ]
    for thread in threads:
        thread.start()
    (local.folder(run) / "app" / "go").touch()
    for thread in threads:
        thread.join(60)
    expected = "".join(f"{n}\n" for n in range(20_000))
    assert ["".join(pieces) for pieces in got] == [expected, expected]


def test_following_ten_megabytes_is_quick(local: Local) -> None:
    line = "x" * 99 + "\n"
    run = local.submit("for _ in range(100_000): print('x' * 99)")
    start = time.monotonic()
    pieces = list(run.logs(follow=True))
    assert len(pieces) == 100_000
    assert set(pieces) == {line}
    assert time.monotonic() - start < 20


def test_following_a_run_that_is_deleted_ends(local: Local) -> None:
    run = local.submit("import time; print('ready'); time.sleep(600)")
    follower = run.logs(follow=True)
    assert next(follower) == "ready\n"
    run.delete()
    assert list(follower) == []


def test_tail_gives_the_last_lines(local: Local) -> None:
    run = local.execute("seq", "1000")
    run.wait(30)
    assert list(run.logs(tail=2)) == ["999\n", "1000\n"]
    assert list(run.logs(tail=0)) == []
    assert len(list(run.logs(tail=5000))) == 1000


def test_tail_and_follow_go_on_from_there(local: Local) -> None:
    code = """
import os, time
os.write(1, b"1\\n2\\n3\\n")
while not os.path.exists("go"):
    time.sleep(0.01)
os.write(1, b"4\\n")
"""
    run = local.submit(code)
    until(lambda: text_of(run).endswith("3\n"), "three lines")
    follower = run.logs(follow=True, tail=1)
    assert next(follower) == "3\n"
    (local.folder(run) / "app" / "go").touch()
    assert list(follower) == ["4\n"]


def test_a_negative_tail_is_refused(local: Local) -> None:
    run = local.execute("true")
    with pytest.raises(ValueError, match="-1"):
        run.logs(tail=-1)


def test_tail_reads_no_more_than_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: reading it through would take hours
        file.seek(0, 2)
        file.write(b"\nlast\n")
    assert list(logs.read(path, tail=1, over=lambda: True)) == ["last\n"]


@given(lines=st.lists(st.text("ab\r", max_size=3)), tail=st.integers(0, 12), end=st.booleans())
def test_tail_gives_what_the_whole_ends_with(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], tail: int, end: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "tail-log"
    path.write_bytes(("\n".join(lines) + ("\n" if end else "")).encode())
    whole = list(logs.read(path, over=lambda: True))
    assert list(logs.read(path, tail=tail, over=lambda: True)) == whole[max(0, len(whole) - tail) :]


def test_an_outcome_holds_the_last_lines_only(local: Local) -> None:
    run = local.execute("seq", "100000")
    run.wait(30)
    assert run.outcome().tail == "".join(f"{n}\n" for n in range(99_981, 100_001))


def test_a_huge_last_line_does_not_fill_an_outcome(local: Local) -> None:
    run = local.submit("print('x' * 10_000_000)")
    run.wait(30)
    assert len(run.outcome().tail) == 1 << 16


def test_a_log_of_a_run_that_is_gone_is_not_found(local: Local) -> None:
    run: LocalRun = local.execute("true")
    run.delete()
    with pytest.raises(LookupError):
        run.logs()
