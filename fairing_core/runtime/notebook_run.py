"""Runs a whole notebook by the image's papermill, and leaves the executed one behind.

Shipped as ``fairing_core/notebook_run.py``, with what is to run in ``notebook.json`` beside it:
``notebook`` and ``output`` (paths from where this starts), ``parameters``, and ``kernel`` (a name,
or null). What cells print is printed as they print it. The executed notebook is written as it goes,
so it is there after a failing cell, a kernel that died and SIGTERM, too.

Ends with 0, with 1 where a cell failed (after ``sys.exit(n)`` in one, with n), with 69 where the
image lacks papermill or the kernel, and with 128 + n after signal n.

Standard library only, Python 3.8, but for papermill and what it brings.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

UNAVAILABLE = 69  # sysexits.h
_PYTHON = "python"
_INJECTED = "injected-parameters"  # papermill's tags of cells that it adds
_ADDED = (_INJECTED, "papermill-error-cell-tag")
_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_QUIET = ["--IPKernelApp.log_level=50"]  # or it logs that it is interrupted when it is to end
_TMP = "/tmp"  # noqa: S108 - what is made in it is nobody else's
_START = 300  # seconds; the first start of a kernel may read a lot from a slow disk
_STOPPED_BY = (signal.SIGTERM, signal.SIGINT)


def main(file: str) -> int:
    """Runs what `file` says; gives the exit code."""
    with open(file, encoding="utf-8") as opened:
        wanted = json.load(opened)
    for number in _STOPPED_BY:
        signal.signal(number, _stop)
    with tempfile.TemporaryDirectory(dir=_TMP if os.access(_TMP, os.W_OK) else None) as private:
        # The home of an image's user need not be there; and a socket's path has to be short.
        os.environ["JUPYTER_RUNTIME_DIR"] = private
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # or some kernels warn of it
        if not os.access(os.path.expanduser("~"), os.W_OK):
            os.environ.setdefault("IPYTHONDIR", os.path.join(private, "ipython"))
        return _whole(wanted, private)


def _whole(wanted: dict[str, Any], private: str) -> int:
    try:
        import papermill
        from jupyter_client.kernelspec import KernelSpecManager
    except ImportError as exc:
        install = (
            "; put papermill and ipykernel into a requirements.txt among input_files (builders "
            "cluster and docker), or name a base image that has them"
        )  # else they are there, and lack a library
        lacks = install if isinstance(exc, ModuleNotFoundError) else ""
        _say(f"this image can't run a notebook: {exc}{lacks}")
        return UNAVAILABLE
    notebook = _read(wanted["notebook"])
    specs = {name: found["spec"] for name, found in KernelSpecManager().get_all_specs().items()}
    kernels = {name: spec.get("language") or "" for name, spec in specs.items()}
    try:
        kernel = chosen(wanted["kernel"], notebook.get("metadata") or {}, kernels)
    except LookupError as exc:
        _say(exc.args[0])
        return UNAVAILABLE
    options: dict[str, Any] = {"kernel_name": kernel, "language": kernels[kernel]}
    if any("ipykernel" in word for word in specs[kernel].get("argv") or ()):
        options["extra_arguments"] = _QUIET
    sockets = {"transport": "ipc", "ip": os.path.join(private, "kernel")}
    return _run(papermill, wanted, sockets, options)


def chosen(named: str | None, metadata: dict[str, Any], kernels: dict[str, str]) -> str:
    """Which of the image's `kernels` (name to language) runs it; says so where it is a guess.

    Raises:
        LookupError: none does.
    """
    spec = metadata.get("kernelspec") or {}
    there = ", ".join(sorted(kernels)) or "none"
    if named:
        if named in kernels:
            return named
        raise LookupError(
            f"this image has no kernel {named!r} (it has: {there}); name one of them as "
            "kernel_name, or install that kernel in the image"
        )
    own = spec.get("name") or ""
    if own in kernels:
        return str(own)
    said = spec.get("language") or (metadata.get("language_info") or {}).get("name") or _PYTHON
    language = str(said).lower()
    language = _PYTHON if language.startswith(("python", "ipython")) else language
    fitting = sorted(name for name, each in kernels.items() if each.lower() == language)
    if len(fitting) == 1:
        what = (
            f"the notebook's kernel {own!r} is not in this image" if own else "it names no kernel"
        )
        _say(f"{what}; {fitting[0]!r}, the image's only one for {language}, runs it")
        return fitting[0]
    wants = f"the notebook's kernel is {own!r}" if own else f"the notebook is in {language}"
    install = " (for Python: install ipykernel)" if language == _PYTHON and not fitting else ""
    raise LookupError(
        f"{wants}, and this image has these kernels: {there}; name one of them as kernel_name, "
        f"or install the right one in the image{install}"
    )


def _run(
    papermill: Any, wanted: dict[str, Any], sockets: dict[str, str], options: dict[str, Any]
) -> int:
    from papermill.clientwrap import PapermillNotebookClient
    from traitlets.config import Config

    notebook, output = wanted["notebook"], wanted["output"]
    folder = os.path.dirname(output)
    if folder and "://" not in output:
        os.makedirs(folder, exist_ok=True)
    # Its own puts what is shown through a logger, with a line end after each piece.
    PapermillNotebookClient.log_output_message = _show
    try:
        papermill.execute_notebook(
            _literal(notebook),
            _literal(output),
            parameters=wanted["parameters"],
            progress_bar=False,
            stdout_file=sys.stdout,  # only tells it to show what is shown
            stderr_file=sys.stderr,
            start_timeout=_START,
            config=Config(KernelManager=sockets),
            **options,
        )
    except Exception as exc:  # noqa: BLE001 - whatever ends it, the notebook says where
        return _failed(exc, wanted)
    return 0


def _literal(path: str) -> str:
    """So that papermill fills in nothing."""
    return path.replace("{", "{{").replace("}", "}}")


def _show(_client: object, output: Any) -> None:
    """What a cell shows, as text, on the stream that it is for."""
    if output.output_type == "stream":
        _write(sys.stderr if output.name == "stderr" else sys.stdout, "".join(output.text))
    elif "data" in output and "text/plain" in output.data:
        _write(sys.stdout, "".join(output.data["text/plain"]) + "\n")


def _write(stream: Any, text: str) -> None:
    stream.flush()
    stream.buffer.write(text.encode("utf-8", "backslashreplace"))
    stream.buffer.flush()


def _say(text: str) -> None:
    _write(sys.stderr, f"fairing: {text}\n")


def _stop(number: int, _frame: object) -> NoReturn:
    """Through papermill, which ends the kernel and writes the notebook."""
    for each in _STOPPED_BY:
        signal.signal(each, signal.SIG_IGN)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it misses the cell that is given up
    _say(f"stopped by {signal.Signals(number).name}; the notebook is written as far as it came")
    raise SystemExit(128 + number)


# --- what went wrong ------------------------------------------------------------------------------


def _failed(exc: Exception, wanted: dict[str, Any]) -> int:
    """Tells of it, once; gives the exit code."""
    title = os.path.basename(wanted["notebook"])
    number, error = _fault(wanted)
    where = f"{title}, cell {number}" if number else title
    if error is None:
        shown = _COLOURS.sub("", str(exc)).strip() or type(exc).__name__
        dead = type(exc).__name__ == "DeadKernelError"
        hint = "; who takes more memory than there is, is killed so" if dead else ""
        _say(f"{where}: {type(exc).__name__}: {shown}{hint}")
        return 1
    lines = error.get("traceback") or [f"{error.get('ename')}: {error.get('evalue')}"]
    _write(sys.stderr, _COLOURS.sub("", "\n".join(lines)).rstrip() + "\n")
    _say(f"{where} failed: {error.get('ename')}: {_COLOURS.sub('', str(error.get('evalue')))}")
    value = str(error.get("evalue"))
    if error.get("ename") == "SystemExit" and value.isdigit():
        return int(value) & 0xFF or 1
    return 1


def _fault(wanted: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
    """The number of the cell that failed or ran last, as the user counts, and its error."""
    try:
        cells = _read(wanted["output"])["cells"]
        has_injected = any(_INJECTED in _tags(cell) for cell in _read(wanted["notebook"])["cells"])
    except (OSError, ValueError, KeyError):  # written to a store, or not at all
        return 0, None
    added = set(_ADDED) - ({_INJECTED} if has_injected else set())
    last = 0
    for number, cell in enumerate((one for one in cells if not added & _tags(one)), 1):
        for output in cell.get("outputs") or ():
            if output.get("output_type") == "error":
                return number, output
        if cell.get("cell_type") == "code" and _started(cell):
            last = number
    return last, None


def _started(cell: dict[str, Any]) -> bool:
    return bool((cell["metadata"].get("papermill") or {}).get("start_time"))


def _tags(cell: dict[str, Any]) -> set[str]:
    return set((cell.get("metadata") or {}).get("tags") or ())


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        return json.load(file)  # type: ignore[no-any-return]


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [
        path for path in sys.path if os.path.abspath(path) != here
    ]  # ours are no modules
    sys.exit(main(os.path.join(here, "notebook.json")))
