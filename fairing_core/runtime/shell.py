"""What ``get_ipython()`` is inside a run: the few magics that a job can't do without.

Shipped with a converted notebook; see `fairing_core.runtime.cells`. Commands are treated as IPython
treats them: ``{expression}`` and ``$name`` are filled in, and a command that fails is no error (its
exit code is ``_exit_code``).

Standard library only, Python 3.8.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import string
import sys
import time

from fairing_core.runtime import commands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

ALIASES = {name: name for name in ("cat", "cp", "ls", "mkdir", "mv", "rm", "rmdir")}
"""Magics that are commands of the shell."""
ALIASES["ll"] = "ls -l"

LEFT_OUT = frozenset(
    (
        *("matplotlib", "gui", "config", "load_ext", "reload_ext", "unload_ext", "autoreload"),
        *("colors", "precision", "pprint", "xmode", "page", "autoawait", "automagic", "autocall"),
    )
)
"""Magics that mean nothing in a job, where a module calls them by ``get_ipython()``."""

_DOLLAR = re.compile(r"\$(\$?[\w.]+)(?=(?:[^']*'[^']*')*[^']*$)")
_PROFILE_OPTIONS = re.compile(r"(?:-[rq]+\s+|-[DlsT]\s*\S+\s+)*")
_SECRET = ("key", "token", "secret")
_frame = sys._getframe  # noqa: SLF001 - there is no other way to the caller's variables


class UsageError(Exception):
    """A magic was called amiss, or a job has none of that name."""


class Captured:
    """What a cell under ``%%capture`` wrote."""

    def __init__(self) -> None:
        self.streams = (io.StringIO(), io.StringIO())
        self.outputs: list[Any] = []

    @property
    def stdout(self) -> str:
        """What it wrote to stdout."""
        return self.streams[0].getvalue()

    @property
    def stderr(self) -> str:
        """What it wrote to stderr."""
        return self.streams[1].getvalue()

    def show(self) -> None:
        """Writes it after all."""
        sys.stdout.write(self.stdout)
        sys.stderr.write(self.stderr)

    __call__ = show

    def __str__(self) -> str:
        return self.stdout


class Shell:
    """The stand-in for IPython's shell.

    The magic ``%name`` is its method ``_line_name``, ``%%name`` is ``_cell_name``.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.user_ns = namespace
        self.config: dict[str, Any] = {}
        self._folders = [os.getcwd()]

    def system(self, command: str) -> None:
        """``!command``: runs it in the shell."""
        self._call(self._filled(command, _frame(1)))

    def getoutput(self, command: str) -> commands.Lines:
        """``!!command``: the lines that it writes to stdout and stderr."""
        return self._output(self._filled(command, _frame(1)))

    def run_line_magic(self, name: str, line: str = "", _depth: int = 1) -> Any:
        """``%name line``."""
        frame = _frame(_depth)
        if name == "time":
            with _clock():
                return _evaluated(line, frame)
        if name == "prun":  # profiles are not taken
            _evaluated(_PROFILE_OPTIONS.sub("", line, count=1), frame)
            return None
        line = self._filled(line, frame)
        if name in ALIASES:
            return self._call(f"{ALIASES[name]} {line}".rstrip())
        if name in LEFT_OUT:
            return None
        magic = getattr(self, f"_line_{name}", None)
        if magic is None:
            raise UsageError(
                f"there is no %{name} inside a run; docs/notebooks.md has all there are"
            )
        return magic(line)

    def run_cell_magic(self, name: str, line: str, cell: str) -> Any:
        """``%%name line``, with the `cell` below it."""
        magic = getattr(self, f"_cell_{name}", None)
        if magic is None:
            raise UsageError(
                f"there is no %%{name} inside a run; docs/notebooks.md has all there are"
            )
        return magic(self._filled(line, _frame(1)), cell)

    def magic(self, text: str) -> Any:
        """A line magic as one text, as IPython once had it."""
        name, _, line = text.lstrip("%").partition(" ")
        return self.run_line_magic(name, line, _depth=2)

    def around(self, name: str, line: str) -> Any:
        """The context that a cell under ``%%name line`` runs in."""
        if name == "time":
            return _clock()
        return self._captured(line) if name == "capture" else contextlib.nullcontext()

    def display(self, *values: Any, **_: Any) -> None:
        """Prints `values` as text."""
        for value in values:
            print(repr(value))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"get_ipython().{name} is IPython's, which is not there inside a run; ask for it by "
            "hasattr(get_ipython(), ...), or tag the cell fairing-skip"
        )

    # --- %name

    def _line_env(self, line: str) -> Any:
        name = line.strip()
        if "=" in name or " " in name:
            return self._line_set_env(line)
        if name and name not in os.environ:
            raise UsageError(f"%env {name}: there is no variable of that name")
        hidden = {key: "<hidden>" for key in os.environ if any(s in key.lower() for s in _SECRET)}
        return os.environ[name] if name else {**os.environ, **hidden}

    def _line_set_env(self, line: str) -> None:
        line = line.strip()
        sign = "=" if "=" in line else " "
        name, _, value = (part.strip() for part in line.partition(sign))
        if not name or (sign == " " and not value) or re.search(r"\s", name):
            raise UsageError(f"%set_env {line} sets nothing; write %set_env NAME=VALUE")
        os.environ[name] = value
        print(f"env: {name}={value}")

    def _line_cd(self, line: str) -> None:
        is_quiet = line == "-q" or line.startswith("-q ")
        target = _unquoted((line[2:] if is_quiet else line).strip())
        if target == "-" and len(self._folders) > 1:
            target = self._folders[-2]
        elif target.startswith("-"):
            raise UsageError(f"%cd {line}: there is no such folder among those of this run")
        os.chdir(os.path.expanduser(target or "~"))
        self._folders.append(os.getcwd())
        if not is_quiet:
            print(self._folders[-1])

    def _line_pwd(self, _: str) -> str:
        return os.getcwd()

    def _line_system(self, line: str) -> commands.Lines:
        return self._output(line)

    _line_sx = _line_system

    def _line_pip(self, line: str) -> None:
        self._call(f"{shlex.quote(sys.executable)} -m pip {line}")

    # --- %%name

    def _cell_script(self, line: str, cell: str) -> None:
        words = shlex.split(line)
        kept = {name: _taken(words, f"--{name}") for name in ("out", "err")}
        is_lenient = "--no-raise-error" in words
        command = [word for word in words if word != "--no-raise-error"]
        written = (cell if cell.endswith("\n") else cell + "\n").encode()
        streams = [name for name, variable in kept.items() if variable]
        code, texts = commands.run(command, written, streams)
        for name in streams:
            self.user_ns[kept[name] or ""] = texts[name]
        if code and not is_lenient:
            from subprocess import CalledProcessError

            raise CalledProcessError(code, command)

    def _cell_bash(self, line: str, cell: str) -> None:
        self._cell_script(f"bash {line}", cell)

    def _cell_sh(self, line: str, cell: str) -> None:
        self._cell_script(f"sh {line}", cell)

    def _cell_python(self, line: str, cell: str) -> None:
        self._cell_script(f"{shlex.quote(sys.executable)} {line}", cell)

    _cell_python3 = _cell_python

    def _cell_system(self, line: str, cell: str) -> commands.Lines:
        return self._output(f"{line}\n{cell}")

    _cell_sx = _cell_system

    def _cell_writefile(self, line: str, cell: str) -> None:
        words = line.split()
        flags = [word for word in words if word in ("-a", "--append")]
        path = os.path.expanduser(_unquoted(" ".join(word for word in words if word not in flags)))
        existed = "Appending to" if flags else "Overwriting"
        print(f"{existed if os.path.exists(path) else 'Writing'} {path}")
        with open(path, "a" if flags else "w", encoding="utf-8") as file:
            file.write(cell)

    _cell_file = _cell_writefile

    # --- how

    def _call(self, command: str) -> None:
        self.user_ns["_exit_code"], _ = commands.run(commands.in_shell(command))

    def _output(self, command: str) -> commands.Lines:
        self.user_ns["_exit_code"], lines = commands.output(command)
        return lines

    @contextlib.contextmanager
    def _captured(self, line: str) -> Iterator[None]:
        words = line.split()
        captured = Captured()
        with contextlib.ExitStack() as stack:
            if "--no-stdout" not in words:
                stack.enter_context(contextlib.redirect_stdout(captured.streams[0]))
            if "--no-stderr" not in words:
                stack.enter_context(contextlib.redirect_stderr(captured.streams[1]))
            yield
        for name in [word for word in words if not word.startswith("-")][:1]:
            self.user_ns[name] = captured

    def _filled(self, text: str, frame: Any) -> str:
        """`text` with ``{expression}`` and ``$name`` filled in, or as it is where that fails."""
        if not any(sign in text for sign in "{}$"):
            return text
        try:
            return "".join(_pieces(text, {**self.user_ns, **frame.f_locals}))
        except Exception:  # noqa: BLE001 - such as that of !awk '{print $1}'
            return text


def _pieces(text: str, names: dict[str, Any]) -> Iterator[str]:
    formatter = string.Formatter()
    for literal, expression, spec, conversion in formatter.parse(text):
        end = 0
        for found in _DOLLAR.finditer(literal):
            yield literal[end : found.start()]
            name = found[1]
            yield name if name.startswith("$") else format(_value(name, names))  # $$x is $x
            end = found.end()
        yield literal[end:]
        if expression is not None:
            value: Any = _value(f"{expression}:{spec}" if spec else expression, names)
            yield format(formatter.convert_field(value, conversion))


def _value(expression: str, names: dict[str, Any]) -> Any:
    return eval(expression, dict(names))  # noqa: S307 - the user's own code


def _evaluated(statement: str, frame: Any) -> Any:
    """Runs `statement` as if it stood where `frame` is; the value where it is an expression."""
    padded = "\n" * (frame.f_lineno - 1) + statement.strip()
    name = frame.f_code.co_filename
    try:
        code = compile(padded, name, "eval", 0, True)
    except SyntaxError:
        code = compile(padded, name, "exec", 0, True)
    return eval(code, frame.f_globals, frame.f_locals)  # noqa: S307


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _taken(words: list[str], flag: str) -> str | None:
    """The value of `flag`; takes both out of `words`."""
    for at, word in enumerate(words):
        if word.startswith(f"{flag}="):
            del words[at]
            return word[len(flag) + 1 :]
        if word == flag and at + 1 < len(words):
            value = words[at + 1]
            del words[at : at + 2]
            return value
    return None


@contextlib.contextmanager
def _clock() -> Iterator[None]:
    wall, before = time.time(), _used()
    try:
        yield
    finally:
        after = _used()
        user, system = after[0] - before[0], after[1] - before[1]
        print(
            f"CPU times: user {_duration(user)}, sys: {_duration(system)}, "
            f"total: {_duration(user + system)}"
        )
        print(f"Wall time: {_duration(time.time() - wall)}")


def _used() -> tuple[float, float]:
    """The seconds of processor time so far: the program's own, and the system's for it."""
    try:
        import resource
    except ImportError:  # Windows
        return time.process_time(), 0.0
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime, used.ru_stime


def _duration(seconds: float) -> str:
    if seconds >= 60:
        whole = int(seconds)
        parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"))
        return " ".join(f"{value}{unit}" for value, unit in (*parts, (whole % 60, "s")) if value)
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{max(seconds, 0.0) * 1e9:.3g} ns"
