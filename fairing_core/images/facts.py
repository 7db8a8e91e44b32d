"""What an image is like, learned without running it: `learn`.

Its config says much, its files the rest. They are read from the top layer down, only as far as the
answer asks for: a named user costs the layers above ``/etc/passwd``, a numeric one none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from fairing_core.errors import ImageError
from fairing_core.images.decompress import BadLayer
from fairing_core.images.search import (
    LibcSearch,
    PythonSearch,
    Search,
    UserSearch,
    python_of_release,
)
from fairing_core.images.tarstream import entries

Fact = Literal["user", "python", "libc"]

Layer = Callable[[], Iterable[bytes]]
"""Opens a layer as it is stored, in chunks of any size; what it gives is closed when done."""

_FORMAT = 1  # of `Facts.to_json`; a new one where the same image would give other facts
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # docker's
_LARGEST_ID = 2**31 - 1  # docker's and containerd's; larger numbers are names to them


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an image; `learned` says what has been looked for.

    `uid` and `gid` are the numbers that its program runs as, `python` the X.Y of the ``python`` (or
    else ``python3``) on its PATH, `libc` like ``"glibc 2.36"`` or ``"musl 1.2.5"``, sometimes
    without the version. None: not looked for, or not to be found out.
    """

    uid: int | None = None
    gid: int | None = None
    python: str | None = None
    libc: str | None = None
    learned: frozenset[Fact] = frozenset()

    def to_json(self) -> str:
        """One line, for a cache."""
        fields = {name: getattr(self, name) for name in ("uid", "gid", "python", "libc")}
        return json.dumps({"format": _FORMAT, **fields, "learned": sorted(self.learned)})

    @classmethod
    def from_json(cls, text: str | bytes) -> Facts | None:
        """What `to_json` wrote; None if it is damaged or of another version.

        >>> facts = Facts(uid=1000, gid=100, learned=frozenset({"user"}))
        >>> Facts.from_json(facts.to_json()) == facts
        True
        """
        try:
            fields = json.loads(text)
            if fields.pop("format") != _FORMAT:
                return None
            return cls(**{**fields, "learned": frozenset(fields["learned"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def user_from_config(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """The uid and gid, if the image's config tells numbers; a name takes its ``/etc/passwd``.

    The rules are docker's and containerd's, but for one: a uid without a group has the gid 0 here,
    where they would look whether ``/etc/passwd`` lists the uid. That lookup costs a read of the
    layers for a number which rarely matters: a uid owns files, and on Kubernetes the image's group
    isn't even asked for (the kubelet hands on the user without it, and the runtime looks it up).

    Sources: moby/sys user.GetExecUser; containerd oci.WithUser; kubernetes/kubernetes#61967.

    >>> user_from_config({"config": {"User": "1000:100"}}), user_from_config({})
    ((1000, 100), (0, 0))
    """
    user, group = _user(config)
    if isinstance(user, str) or isinstance(group, str):
        return None
    return user, group or 0


def python_from_config(config: Mapping[str, Any]) -> str | None:
    """The X.Y that the official Python images tell in their variable PYTHON_VERSION.

    It is believed only while their folder is the first on PATH: an image made from one of them may
    bring another Python before it (conda, a venv).

    >>> path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/local/bin:/usr/bin"
    >>> python_from_config({"config": {"Env": [path, "PYTHON_VERSION=3.11.9"]}})
    '3.11'
    """
    if _path(config)[:1] != ["usr/local/bin"]:
        return None
    return python_of_release(_variables(config).get("PYTHON_VERSION", ""))


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
        people = None if user else UserSearch(*_user(config))
    python, pythons = None, None
    if "python" in wanted:
        python = python_from_config(config)
        pythons = None if python else PythonSearch(_path(config))
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


@dataclass(frozen=True, slots=True)
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


def _inner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("config")
    return inner if isinstance(inner, Mapping) else {}


def _user(config: Mapping[str, Any]) -> tuple[str | int, str | int | None]:
    """User and group: numbers where no look into the image is needed, no group where none is."""
    user, _, group = str(_inner(config).get("User") or "").partition(":")
    return _number(user or "root"), _number(group) if group else None


def _variables(config: Mapping[str, Any]) -> dict[str, str]:
    pairs = (str(each).partition("=") for each in _inner(config).get("Env") or ())
    return {name: value for name, _, value in pairs}


def _path(config: Mapping[str, Any]) -> list[str]:
    """The folders of PATH, relative to the root; those for a system's own tools have no Python."""
    folders = (_variables(config).get("PATH") or _DEFAULT_PATH).split(":")
    absolute = [each.strip("/") for each in folders if each.startswith("/")]
    return [each for each in dict.fromkeys(absolute) if not f"/{each}".endswith("/sbin")]


def _number(name: str) -> str | int:
    if name == "root":
        return 0
    if name.isascii() and name.isdigit() and int(name[:20]) <= _LARGEST_ID:
        return int(name)
    return name
