"""A user's project, and a stand-in for the container that runs what was packaged from it."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fairing_core.preprocess.function import FunctionPreprocessor
from fairing_core.preprocess.python import PythonPreprocessor
from fairing_core.types import BuildContext, ContextFile, Source

ROOT = Path(__file__).parents[3]

# Packages a function of the program that it is appended to.
_PACKAGE_ITSELF = """
if __name__ == "__main__":
    import pickle
    import sys

    from fairing_core.preprocess.function import FunctionPreprocessor
    from fairing_core.types import Source

    source = Source("function", eval(sys.argv[1]), args=eval(sys.argv[2]), kwargs=eval(sys.argv[3]))
    sys.stdout.buffer.write(pickle.dumps(FunctionPreprocessor().preprocess(source)))
"""


class Project:
    """A folder of the user's; the working directory while a test has it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, content: str | bytes = "pass\n") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = textwrap.dedent(content).encode()
        path.write_bytes(content)
        return path

    def install_plugin(self, package: str) -> None:
        """Lets this process's metadata say that a plugin of that package is installed."""
        self.write(f"{package}-1.dist-info/METADATA", f"Name: {package}\nVersion: 1\n")
        entry = f"[fairing.backends]\n{package} = {package}.plugin\n"
        self.write(f"{package}-1.dist-info/entry_points.txt", entry)

    def load(self, name: str) -> ModuleType:
        """Imports a module of the project; `sys.path` has it."""
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def script(self, target: str | None = "train.py", **options: Any) -> BuildContext:
        """The context of a script."""
        path = None if target is None else Path(target)
        return PythonPreprocessor(**options).preprocess(Source("script", path))

    def function(
        self, function: Any, *args: Any, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> BuildContext:
        """The context of a function that this process has."""
        source = Source("function", function, args=args, kwargs=kwargs or {})
        return FunctionPreprocessor(**options).preprocess(source)

    def main(
        self,
        program: str,
        function: str = "train",
        args: str = "()",
        kwargs: str = "{}",
        **environ: str,
    ) -> BuildContext:
        """The context of a function of `program`, packaged by that program itself."""
        path = self.write("train.py", textwrap.dedent(program) + _PACKAGE_ITSELF)
        done = subprocess.run(
            [sys.executable, path, function, args, kwargs],
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environ,
            cwd=self.root,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        context = pickle.loads(done.stdout)
        assert isinstance(context, BuildContext)
        return context


@dataclass(frozen=True)
class Ran:
    """What a run left behind."""

    code: int
    out: str
    err: str
    record: dict[str, Any] | None

    @property
    def value(self) -> Any:
        """What the function returned."""
        assert self.record is not None, self.err
        assert "returned" in self.record, (self.record, self.err)
        return self.record["returned"]


@dataclass(frozen=True)
class Container:
    """Runs contexts with an interpreter that has nothing installed, not even Fairing."""

    python: str
    folder: Path

    def run(self, context: BuildContext, *args: str, **environ: str) -> Ran:
        app = self.unpack(context)
        command = [word.replace("/app", str(app)) for word in context.command]
        assert command[0] == "python"
        result = self.folder / "result.json"
        done = subprocess.run(
            [self.python, *command[1:], *args],
            env={"FAIRING_RUNTIME": "1", "FAIRING_RESULT": str(result), **environ},
            cwd=app,
            capture_output=True,
            check=False,
            timeout=60,
        )
        record = json.loads(result.read_text()) if result.exists() else None
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode(), record)

    def unpack(self, context: BuildContext) -> Path:
        for file in context.files:
            path = self.folder / os.fsencode(file.destination.lstrip("/")).decode(
                "utf-8", "surrogateescape"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(file))
            path.chmod(file.mode)
        return self.folder / "app"


def content(file: ContextFile) -> bytes:
    """The file's bytes."""
    return file.content if isinstance(file.content, bytes) else file.content.read_bytes()


def named(context: BuildContext) -> dict[str, ContextFile]:
    """The user's files, by their place under /app."""
    return {
        file.destination.removeprefix("/app/"): file
        for file in context.files
        if file.reason != "runtime"
    }
