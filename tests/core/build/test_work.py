"""Side by side: results, errors, turns, and what is dropped."""

from __future__ import annotations

import threading
import time
from typing import NoReturn

import pytest

from fairing_core.build.work import Dropped, Workers


def fail() -> NoReturn:
    raise ZeroDivisionError


def test_results_come_from_as_many_threads_as_there_may_be() -> None:
    workers = Workers(3, "test")
    barrier = threading.Barrier(3, timeout=10)
    tasks = [workers.start(barrier.wait) for _ in range(3)]
    workers.wait(tasks)
    assert sorted(task.result() for task in tasks) == [0, 1, 2]


def test_what_is_beyond_waits_for_its_turn() -> None:
    workers = Workers(2, "test")
    running: list[int] = []
    most: list[int] = []

    def work() -> None:
        running.append(1)
        most.append(len(running))
        time.sleep(0.005)
        running.pop()

    workers.wait([workers.start(work) for _ in range(20)])
    assert max(most) <= 2


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    task = Workers(1, "test").start(fail)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            task.result()
    assert task.done()
    assert task.has_failed()


def test_waiting_ends_with_the_first_error_while_others_go_on() -> None:
    workers = Workers(2, "test")
    release = threading.Event()
    slow = workers.start(release.wait, 10)
    with pytest.raises(ZeroDivisionError):
        workers.wait([slow, workers.start(fail)])
    assert not slow.done()
    release.set()
    assert slow.result() is True


def test_one_is_waited_for_and_a_failure_beside_it_is_heard() -> None:
    workers = Workers(2, "test")
    made = workers.task()
    good = workers.start(int)
    workers.wait([good], beside=[made])
    with pytest.raises(ZeroDivisionError):
        workers.wait([made], beside=[good, workers.start(fail)])
    made.succeed(3)
    workers.wait([made], beside=[good])
    assert made.result() == 3


def test_a_task_may_be_failed_by_hand() -> None:
    made = Workers(1, "test").task()
    made.fail(KeyError("x"))
    with pytest.raises(KeyError):
        made.result()


def test_closing_drops_what_has_not_begun() -> None:
    workers = Workers(1, "test")
    release, began = threading.Event(), threading.Event()

    def work() -> int:
        began.set()
        release.wait(10)
        return 1

    first = workers.start(work)
    began.wait(10)
    second = workers.start(int)
    workers.close()
    release.set()
    assert first.result() == 1
    with pytest.raises(Dropped):
        second.result()


def test_its_threads_end_with_the_work() -> None:
    workers = Workers(2, "test-ends")
    workers.wait([workers.start(int) for _ in range(5)])
    deadline = time.monotonic() + 10
    while any(thread.name == "test-ends" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert workers.start(int).result() == 0
