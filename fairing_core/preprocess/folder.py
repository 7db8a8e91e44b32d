"""A whole folder as a context: what `fairing build FOLDER` packs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from fairing_core import errors
from fairing_core.preprocess import inputs
from fairing_core.preprocess.context import pack
from fairing_core.types import PREFIX, BuildContext

_MAIN = "__main__.py"


def package_folder(
    folder: Path,
    *,
    prefix: str = PREFIX,
    allow_secrets: Sequence[str] = (),
    without: Path | None = None,
) -> BuildContext:
    """Every file of `folder`, below `prefix`; a folder with a ``__main__.py`` is what is started.

    Version control, caches, virtual environments, and what its ignore files say are left out; so is
    `without`, a folder in it: the last build's image is none of its source.

    Raises:
        EmptyEntry: there is no file in it.
        InputError: a file can't travel.
    """
    root = os.path.abspath(folder)
    found = inputs.collect([root], root=root)
    if without is not None:
        out = os.path.abspath(without)
        found = {
            path: text for path, text in found.items() if inputs.relative_to(path, out) is None
        }
    if not found:
        raise errors.EmptyEntry(f"{folder} has no files, so there is nothing to build")
    files = inputs.placed(found, root=root, prefix=prefix, reason="folder")
    home = prefix.rstrip("/")
    has_main = os.path.join(root, _MAIN) in found
    command = ("python", home) if has_main else ()
    return pack(files, command, workdir=home, root=root, allow_secrets=allow_secrets)
