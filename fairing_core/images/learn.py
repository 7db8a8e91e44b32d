"""Learns of an image what its config doesn't say, from its files.

They are read from the top layer down, only as far as the answer asks for: a named user costs the
layers above ``/etc/passwd``, a numeric one none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

from fairing_core.errors import ImageError
from fairing_core.images.decompress import BadLayer
from fairing_core.images.facts import (
    Fact,
    Facts,
    python_from_config,
    search_path,
    user_and_group,
    user_from_config,
)
from fairing_core.images.search import LibcSearch, PythonSearch, Search, UserSearch
from fairing_core.images.tarstream import entries
from fairing_core.values import frozen

Layer = Callable[[], Iterable[bytes]]
"""Opens a layer as it is stored, in chunks of any size; what it gives is closed when done."""


def learn(
    config: Mapping[str, Any],
    layers: Sequence[Layer],
    *,
    wanted: Collection[Fact] = ("user", "python", "libc"),
    image: str = "the image",
) -> Facts:
    """What is `wanted` of an image of that config (the whole JSON) and those layers, bottom first.

    A layer is opened only when needed, nearly always once, and closed as soon as all is known. The
    libc is looked for from the bottom, where a system's is, if nothing else needs the layers: its
    version is then the least that there is. `image` names the image in errors.

    Raises:
        ImageError: a layer can't be read, or the image's user is unknown to its ``/etc/passwd``.
    """
    user: tuple[int, int] | None = None
    people = None
    if "user" in wanted:
        user = user_from_config(config)
        people = None if user else UserSearch(*user_and_group(config))
    python, pythons = None, None
    if "python" in wanted:
        python = python_from_config(config)
        pythons = None if python else PythonSearch(search_path(config))
    libc = LibcSearch() if "libc" in wanted else None

    reader = _Reader(layers, image)
    unread = len(layers)
    if searches := [each for each in (people, pythons) if each]:
        unread = reader.read(range(unread)[::-1], searches, riders=[libc] if libc else [])
    if libc and not libc.settled:
        reader.read(range(unread), [libc])
    while people and (further := people.further()):
        people = further
        reader.read(range(len(layers))[::-1], [people])

    uid, gid = people.found(image) if people else user or (None, None)
    return Facts(
        uid=uid,
        gid=gid,
        python=pythons.found() if pythons else python,
        libc=libc.found() if libc else None,
        learned=frozenset(wanted),
    )


@frozen
class _Reader:
    """The layers of that image."""

    layers: Sequence[Layer]
    image: str

    def read(
        self, order: Iterable[int], searches: Sequence[Search], riders: Sequence[Search] = ()
    ) -> int:
        """Reads until `searches` are settled: how many layers, from the bottom, have unread ends.

        `riders` see what is read, but nothing is read for them.
        """
        present: list[Search] = [*searches, *riders]
        unread = len(self.layers)

        def select(name: bytes, kind: bytes, link: bytes) -> int | None:
            limits = [each.select(name, kind, link) for each in present]
            return max((limit for limit in limits if limit is not None), default=None)

        for number in order:
            unread = number + 1
            with self._opened(number) as chunks, closing(entries(chunks, select)) as found:
                for entry in found:
                    for each in present:
                        each.see(entry)
                    present = [each for each in present if not each.settled]
                    if all(each.settled for each in searches):
                        return unread
            for each in present:
                each.next_layer()
            unread = number
        return unread

    @contextmanager
    def _opened(self, number: int) -> Iterator[Iterator[bytes]]:
        stream = self.layers[number]()
        chunks = iter(stream)
        try:
            yield chunks
        except BadLayer as exc:
            raise ImageError(
                f"Layer {number + 1} of {len(self.layers)} of {self.image} can't be read: {exc}. "
                "Take a base image whose layers are plain tars or gzip."
            ) from exc
        finally:
            for each in (chunks, stream):
                close = getattr(each, "close", None)
                if close is not None:
                    close()
