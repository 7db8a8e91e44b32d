"""What is known of an image without running it, as far as its config says it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from fairing_core.values import frozen

Fact = Literal["user", "python", "libc"]

_FORMAT = 1  # of `Facts.to_json`; a new one where the same image would give other facts
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # docker's
_RELEASE = re.compile(r"(\d+\.\d+)(?:$|[.abr])")
_LARGEST_ID = 2**31 - 1  # docker's and containerd's; larger numbers are names to them


@frozen(kw_only=True)
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
    user, group = user_and_group(config)
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
    if search_path(config)[:1] != ["usr/local/bin"]:
        return None
    return python_of_release(_variables(config).get("PYTHON_VERSION", ""))


def python_of_release(release: str) -> str | None:
    """X.Y of a release.

    >>> python_of_release("3.11.9"), python_of_release("3.14.0rc2"), python_of_release("default")
    ('3.11', '3.14', None)
    """
    found = _RELEASE.match(release)
    return found[1] if found else None


def _inner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("config")
    return inner if isinstance(inner, Mapping) else {}


def user_and_group(config: Mapping[str, Any]) -> tuple[str | int, str | int | None]:
    """User and group: numbers where no look into the image is needed, no group where none is."""
    user, _, group = str(_inner(config).get("User") or "").partition(":")
    return _number(user or "root"), _number(group) if group else None


def _variables(config: Mapping[str, Any]) -> dict[str, str]:
    pairs = (str(each).partition("=") for each in _inner(config).get("Env") or ())
    return {name: value for name, _, value in pairs}


def search_path(config: Mapping[str, Any]) -> list[str]:
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
