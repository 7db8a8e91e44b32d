"""The Dockerfile that is made where the user brings none: pure functions.

Every command is in its exec form, so no shell sees a word of the user's; what a Dockerfile expands
(``$NAME``, quotes, backslashes) is written so that it comes out as it went in.

Source: Dockerfile reference (parser directives apart), "ENV", "COPY", "RUN", "CMD"; the shell form
and heredocs are not used, since kaniko and buildah read them differently.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from fairing_core import errors
from fairing_core.build.image import Changes
from fairing_core.build.wanted import REQUIREMENTS
from fairing_core.images.reference import ImageRef
from fairing_core.types import PREFIX, ContextFile
from fairing_core.values import frozen

_ROOT = "0"
_PIP = ("-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check")
_APART = (
    "-I",
)  # else a module of the user's is imported for pip's own, where pip starts beside it
# pip of Debian's, Fedora's and other systems' Pythons refuses to install beside their own packages
# (PEP 668), which is what an image is for. A build argument is a variable of RUN alone.
_BESIDE_SYSTEM = "PIP_BREAK_SYSTEM_PACKAGES=1"
_SYSTEM = frozenset(
    {"/", "/etc/", "/home/", "/media/", "/mnt/", "/opt/", "/srv/", "/usr/", "/usr/local/", "/var/"}
)
_ODD = re.compile(r"[*?\[\\]")  # what Go's filepath.Match does not take for itself
_NAMED = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)|--from=(\S+)", re.IGNORECASE | re.MULTILINE)
_STAGE = re.compile(r"^\s*FROM\s.*\sAS\s+(\S+)", re.IGNORECASE | re.MULTILINE)
_SINGLE = 50  # files that one step copies by name: a Dockerfile's lines are 64 KiB at the most
_MOST_COPIES = 80  # layers of an image are 127 at the most, and the base has some


@frozen
class Owner:
    """Whom an image's program runs as: by number, and as its config says it ("" is root)."""

    uid: int
    gid: int
    user: str = ""


def generated(
    base: str,
    files: Sequence[ContextFile],
    changes: Changes,
    owner: Owner,
    *,
    requirements: str | None = None,
) -> str:
    """The text of a Dockerfile that puts `files` on `base`: requirements first, then the code.

    In the build's context each file is at its destination without the first slash, or where
    `places` says. Files belong to `owner`, and so do the folders that are made for them.

    Args:
        base: the image that is built on.
        files: sorted by destination.
        changes: what the image says otherwise than its base.
        owner: whom files belong to, and the user that a step as root goes back to.
        requirements: the text of ``/app/requirements.txt``, where it is among the files.

    Raises:
        InvalidArgument: a variable or a label that a Dockerfile can't carry.
    """
    chown = f"--chown={owner.uid}:{owner.gid}"
    copies = [f"COPY {chown} {_words([*sources, target])}" for sources, target in _copies(files)]
    lines = [f"FROM {base}"]
    if requirements is not None:
        python, beside = _python(changes.command), names_files(requirements)
        words = [python, *(_APART if beside else ()), *_PIP, "--requirement", REQUIREMENTS]
        steps = [f"ARG {_BESIDE_SYSTEM}", f"USER {_ROOT}", f"RUN {json.dumps(words)}"]
        steps.append(f"USER {_text(owner.user or _ROOT)}")
        if beside:  # pip reads names of files from where it starts
            lines += [*copies, f"WORKDIR {PREFIX.rstrip('/')}", *steps]
        else:
            first = _words([REQUIREMENTS[1:], PREFIX])
            lines += [f"COPY {chown} {first}", *steps, *copies]
    else:
        lines += copies
    lines += [f"ENV {_assigned(key, value)}" for key, value in sorted(changes.env.items())]
    lines += [f"LABEL {_assigned(key, value)}" for key, value in sorted(changes.labels.items())]
    lines.append(f"WORKDIR {_text(changes.workdir)}")
    if changes.user is not None:
        lines.append(f"USER {_text(changes.user)}")
    if changes.entrypoint is not None:
        lines.append(f"ENTRYPOINT {json.dumps(list(changes.entrypoint))}")
    if changes.command:
        lines.append(f"CMD {json.dumps(list(changes.command))}")
    return "\n".join(lines) + "\n"


def images_named(text: str) -> list[ImageRef]:
    r"""The images that a Dockerfile names, as far as it says them in full.

    >>> [ref.name for ref in images_named("FROM --platform=linux/amd64 a.b/base AS x\\nFROM x\\n")]
    ['a.b/base']
    """
    found: dict[ImageRef, None] = {}
    stages = {name.lower() for name in _STAGE.findall(text)}
    for named in _NAMED.finditer(text):
        word = named[1] or named[2]
        if word.lower() in stages or word == "scratch" or word.isdigit():
            continue
        try:
            found[ImageRef.parse(word)] = None
        except errors.InvalidReference:  # a variable
            continue
    return list(found)


def names_files(requirements: str) -> bool:
    r"""Whether requirements name files that travel with the code: wheels, folders, more lists.

    >>> names_files("numpy>=2\nscikit-learn==1.7 # for the demo\\n")
    False
    >>> names_files("-r more.txt"), names_files("./wheels/lab-1.0-py3-none-any.whl")
    (True, True)
    """
    lines = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in requirements.splitlines())
    return any(_names_file(line) for line in lines if line)


def _names_file(line: str) -> bool:
    if line.startswith("-"):
        option, _, value = line.replace("=", " ", 1).partition(" ")
        named = option in ("-r", "--requirement", "-c", "--constraint", "-f", "--find-links",
                           "-e", "--editable") or line[:2] in ("-r", "-c", "-f", "-e")  # fmt: skip
        return named and ("://" not in value or value.strip().startswith("file:"))
    name, at, place = line.partition("@")
    place = place.strip() if at else name
    if place.startswith("file:"):
        return True
    path = place.partition(";")[0].strip()
    is_path = path.startswith((".", "/")) or path.endswith((".whl", ".zip", ".tar.gz", ".tgz"))
    return "://" not in path and is_path


def _copies(files: Iterable[ContextFile]) -> list[tuple[list[str], str]]:
    """What is copied where, as COPY's sources and its target: a folder, or one file's place.

    Folders that may be the base image's keep their owner, so files go there one by one; ``/app``,
    and trees of many files, are copied whole.

    Raises:
        InvalidArgument: it would take more steps than an image has layers.
    """
    trees: dict[str, list[str]] = {}
    for file in files:
        trees.setdefault(_tree(file.destination), []).append(file.destination)
    found: list[tuple[list[str], str]] = []
    for tree, places in trees.items():
        if _is_whole(tree, len(places)):
            found.append(([tree[1:]], tree))
            continue
        folders: dict[str, list[str]] = {}
        for place in places:
            if _ODD.search(place):
                found.append(([_renamed(place)[1:]], place))
            else:
                folders.setdefault(place[: place.rindex("/") + 1], []).append(place[1:])
        for folder, sources in folders.items():
            batches = range(0, len(sources), _SINGLE)
            found += [(sources[at : at + _SINGLE], folder) for at in batches]
    if len(found) > _MOST_COPIES:
        raise errors.InvalidArgument(
            f"the files go to {len(found)} folders outside /app, and an image has no layers for "
            f"more than {_MOST_COPIES}; put them below one, with output_map"
        )
    return found


def places(files: Iterable[ContextFile]) -> dict[str, str]:
    """Where the Dockerfile expects files in the context, by their destinations, where it differs.

    COPY takes some characters for a pattern, and engines differ in how one that is not meant is
    written.
    """
    odd = [file.destination for file in files if _ODD.search(file.destination)]
    counts = Counter(_tree(file.destination) for file in files) if odd else {}
    return {
        place: _renamed(place) for place in odd if not _is_whole(_tree(place), counts[_tree(place)])
    }


def _renamed(place: str) -> str:
    return f"/.fairing/{hashlib.sha256(place.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def _is_whole(tree: str, count: int) -> bool:
    """Whether a folder of so many files is copied as it is."""
    many = count > _SINGLE and tree not in _SYSTEM and not _ODD.search(tree)
    return tree == PREFIX or many


def _tree(destination: str) -> str:
    """The topmost folder of a file that is not one of every system's, or else that: ``/app/``."""
    at = destination.index("/") + 1
    while destination[:at] in _SYSTEM and (deeper := destination.find("/", at)) > 0:
        at = deeper + 1
    return destination[:at]


def _python(command: Sequence[str]) -> str:
    """The Python that will run the code: packages are for that one."""
    first = command[0] if command else ""
    return first if posixpath.basename(first).startswith("python") else "python3"


def _words(words: Sequence[str]) -> str:
    """Words as COPY reads them: JSON, then variables, quotes and backslashes in each word."""
    return json.dumps([_shielded(word) for word in words])


def _shielded(word: str) -> str:
    return re.sub(r"""([\\$'"])""", r"\\\1", word)


def _text(word: str) -> str:
    """A bare word of USER or WORKDIR.

    Raises:
        InvalidArgument: it has a line end.
    """
    if re.search(r"[\n\r\0]", word):
        raise errors.InvalidArgument(f"{word!r} can't stand in a Dockerfile: it has a line end")
    return _shielded(word)


def _assigned(name: str, value: str) -> str:
    """``NAME="value"``.

    Raises:
        InvalidArgument: a line end, which no Dockerfile can carry in a value, or no name.
    """
    if not name or re.search(r"[\s=\"'$\\]", name):
        raise errors.InvalidArgument(f"{name!r} is no name of a variable or label for a Dockerfile")
    if re.search(r"[\n\r\0]", value):
        raise errors.InvalidArgument(
            f"{name}={value!r} can't stand in a Dockerfile: it has a line end; set it when it is "
            "run (env= of the deployer), or build with 'append'"
        )
    inner = re.sub(r'([\\$"])', r"\\\1", value)
    return f'{name}="{inner}"'
