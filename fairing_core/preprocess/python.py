"""The preprocessor ``python``: a script, the modules beside it that it imports, and its inputs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from fairing_core import errors
from fairing_core.preprocess import inputs, outside, travel
from fairing_core.preprocess.context import pack
from fairing_core.preprocess.inputs import PathLike
from fairing_core.types import PREFIX, BuildContext, Source


class PythonPreprocessor:
    """Packages a script.

    The root is the script's folder: inputs keep their path relative to it, and what lies outside
    needs a place in `output_map`. Relative paths here start at the working directory.

    Args:
        input_files: files, folders and patterns (``**`` too) that travel beside the script.
            Folders leave out version control, caches and virtual environments, and what
            ``.gitignore``, ``.dockerignore`` and ``.fairingignore`` of the root say.
        command: what the script is given to; ``["python"]`` by default.
        executable: the script, where the source names none; by default the only input, else the
            only ``*.py`` among the inputs.
        path_prefix: the folder in the image that the root becomes.
        output_map: more files and folders, ``{path here: path in the image}``.
        allow_secrets: files and patterns, relative to the root, that may travel though they look
            like secrets.

    Example:
        >>> from fairing_core import Source
        >>> preprocessor = PythonPreprocessor(executable="train.py", input_files=["data/*.csv"])
        >>> preprocessor.preprocess(Source("script")).command  # doctest: +SKIP
        ('python', '/app/train.py')
    """

    def __init__(
        self,
        *,
        input_files: PathLike | Iterable[PathLike] | None = None,
        command: str | Sequence[str] | None = None,
        executable: PathLike | None = None,
        path_prefix: str = PREFIX,
        output_map: Mapping[PathLike, PathLike] | None = None,
        allow_secrets: PathLike | Iterable[PathLike] | None = None,
    ) -> None:
        self._inputs = inputs.as_paths(input_files)
        if command is None:
            command = ["python"]
        self._command = (command,) if isinstance(command, str) else tuple(command)
        self._executable = None if executable is None else os.fspath(executable)
        self._prefix = inputs.folder(path_prefix)
        self._output_map = dict(output_map or {})
        self._allow_secrets = inputs.as_paths(allow_secrets)

    def preprocess(self, source: Source) -> BuildContext:
        """The script, what it imports from beside it, the inputs, and the command that runs it.

        The source's arguments are not part of it: the same files give the same digest whatever
        the script is told.

        Raises:
            EmptyEntry: there is no script, or it is empty.
            InputError: a file can't travel; the subclass says why.
        """
        if source.kind != "script":
            raise errors.InputError(
                f"the preprocessor 'python' packages scripts, not a {source.kind}; "
                "name another preprocessor, or none to have it chosen"
            )
        target = source.target
        named = target if isinstance(target, str | os.PathLike) else self._executable
        root = None
        if named is not None:
            entry = self._entry(os.fspath(named))
            root = os.path.dirname(entry)
            found = inputs.collect(self._inputs, root=root)
        else:
            found = inputs.collect(self._inputs, root=None)
            entry = self._entry(_only_script(found))
            root = os.path.dirname(entry)

        files = [inputs.file(entry, self._prefix + _name(entry), reason="entry")]
        files += inputs.placed(found, root=root, prefix=self._prefix, without={entry})
        files += inputs.mapped(self._output_map)
        is_python = self._is_python(entry)
        if is_python:
            files += travel.modules(self._prefix, root, files, programs={entry: ""})
        files += travel.answers(self._prefix, files)
        return pack(
            files,
            (*self._command, files[0].destination),
            workdir=self._prefix.rstrip("/") or "/",
            root=root,
            allow_secrets=self._allow_secrets,
            imports=(
                outside.imports(files, self._prefix, entry=files[0].destination)
                if is_python
                else ()
            ),
        )

    def _entry(self, text: str) -> str:
        path = os.path.normpath(os.path.join(os.getcwd(), text)) if text else ""
        if not text:
            raise errors.EmptyEntry("the script's name is empty; name the file to run")
        if not os.path.lexists(path):
            raise inputs.missing(text, path, what="the script")
        if os.path.isdir(path):
            raise errors.UnreadableInput(f"{path} is a folder; name the script in it to run")
        status = inputs.file(path, "", reason="")
        if not os.path.isfile(path):
            raise errors.UnreadableInput(f"{path} is a device, pipe or socket, not a script")
        if status.size == 0:
            raise errors.EmptyEntry(f"{path} is empty, so there is nothing to run")
        return path

    def _is_python(self, entry: str) -> bool:
        program = os.path.basename(self._command[0]) if self._command else ""
        return entry.endswith(".py") or program.startswith("python")


def _only_script(found: Mapping[str, str]) -> str:
    if not found:
        raise errors.EmptyEntry(
            "there is nothing to run: name a script as entry_point or executable"
        )
    scripts = [path for path in found if path.endswith(".py")]
    if len(found) == 1:
        return next(iter(found))
    if len(scripts) != 1:
        what = ", ".join(os.path.basename(path) for path in sorted(scripts)[:5]) or "no *.py"
        raise errors.EmptyEntry(
            f"which of the {len(found)} inputs is to run is not clear (among them: {what}); "
            "name it: executable='...'"
        )
    return scripts[0]


def _name(path: str) -> str:
    return inputs.as_posix(os.path.basename(path))
