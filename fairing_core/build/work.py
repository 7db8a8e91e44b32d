"""Things done side by side, by threads.

As `concurrent.futures`, which takes a tenth of a small push to import.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar, cast

_T = TypeVar("_T")


class Dropped(Exception):
    """It was not begun any more."""


class Task(Generic[_T]):
    """What will have a result, or an error."""

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._is_done = False
        self._value: _T | None = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        """Whether it has one."""
        return self._is_done

    def result(self) -> _T:
        """The result, once it is there; raises the error."""
        with self._changed:
            self._changed.wait_for(self.done)
        if self._error is not None:
            raise self._error
        return cast(_T, self._value)

    def has_failed(self) -> bool:
        """Whether it ended with an error."""
        return self._error is not None

    def succeed(self, value: _T) -> None:
        """Gives it its result."""
        self._end(value, None)

    def fail(self, error: BaseException) -> None:
        """Gives it an error."""
        self._end(None, error)

    def _end(self, value: _T | None, error: BaseException | None) -> None:
        with self._changed:
            self._value, self._error, self._is_done = value, error, True
            self._changed.notify_all()


class Workers:
    """At most so many threads; what is asked for beyond waits for its turn."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._changed = threading.Condition()
        self._queue: deque[tuple[Task[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._threads = 0

    def task(self) -> Task[Any]:
        """One that somebody gives its result by hand."""
        return Task(self._changed)

    def start(self, work: Callable[..., _T], *arguments: Any) -> Task[_T]:
        """Begins `work` as soon as there is a thread for it."""
        task: Task[_T] = Task(self._changed)
        with self._changed:
            self._queue.append((task, work, arguments))
            if self._threads == self._most:
                return task
            self._threads += 1
        threading.Thread(target=self._run, name=self._name).start()
        return task

    def wait(self, tasks: Iterable[Task[Any]], *, beside: Iterable[Task[Any]] = ()) -> None:
        """Returns once all of `tasks` have ended.

        Raises:
            BaseException: the error of one of them, or of one `beside` them, as soon as it has one.
        """
        tasks = list(tasks)
        watched = [*tasks, *beside]

        def over() -> bool:
            return all(task.done() for task in tasks) or any(map(Task.has_failed, watched))

        with self._changed:
            self._changed.wait_for(over)
        for task in watched:
            if task.has_failed():
                task.result()

    def close(self) -> None:
        """Drops what has not begun; what has goes on to its end."""
        with self._changed:
            dropped, self._queue = self._queue, deque()
        for task, _, _ in dropped:
            task.fail(Dropped())

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._queue:
                    self._threads -= 1
                    return
                task, work, arguments = self._queue.popleft()
            try:
                value = work(*arguments)
            except BaseException as exc:  # noqa: BLE001 - raised where the result is asked for
                task.fail(exc)
            else:
                task.succeed(value)
