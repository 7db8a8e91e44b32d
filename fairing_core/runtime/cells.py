r"""Runs a notebook's cells as one program.

Shipped beside the program that a notebook was converted to, which calls it with every cell:

    run(globals(), "train.ipynb", [(1, "import os\n"),
                                   (3, "get_ipython().system('ls')\n", {1: "!ls"})])

Each cell is compiled by itself, under a name such as ``train.ipynb, cell 3``, and all run in the
namespace of `__main__`: so every traceback and warning names the cell, its line and that line's
text. `linecache` has those texts, as the user wrote them.

Standard library only, Python 3.8.
"""

from __future__ import annotations
import __future__ as features

import ast
import builtins
import contextlib
import linecache
import os
import sys
import threading

from fairing_core.runtime import displays
from fairing_core.runtime.shell import Shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, TracebackType
    from typing import Any

_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect itself is slow to import
_WITHIN_A_LOOP = frozenset(("create_task", "get_running_loop"))  # where a kernel's cells always are
_INLINE = "module://matplotlib_inline"
# Before, Python itself looked for the lines of uncaught errors in files alone.
_KNOWS_LINECACHE = sys.version_info >= (3, 13)


def run(namespace: dict[str, Any], title: str, cells: Sequence[Sequence[Any]]) -> None:
    """Runs `cells` in `namespace`, up to the first that fails.

    Args:
        namespace: the globals of the program.
        title: what the user calls the notebook.
        cells: of each its number, its source, the lines of it that the user wrote otherwise (by
            their number), and the cell magics around it, the outermost first, each with its line.
    """
    shell = Shell(namespace)
    _prepare(shell)
    is_ours = displays.of_program(title, namespace.get("__file__") or "")
    sys.meta_path.append(displays.Finder(shell.display, is_ours))
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    loop = _Loop()
    try:
        for number, source, *more in cells:
            shown = more[0] if more else {}
            around = more[1] if len(more) > 1 else ()
            name = f"{title}, cell {number}"
            _remember(name, source, shown)
            code = _compiled(source, name, flags, shown)
            flags |= code.co_flags & _futures()
            namespace.pop("__warningregistry__", None)  # it knows lines, and no cells
            with contextlib.ExitStack() as stack:
                for magic, line in around:
                    stack.enter_context(shell.around(magic, line))
                if code.co_flags & _COROUTINE:
                    loop.run(eval(code, namespace))  # noqa: S307 - the user's own code
                elif _WITHIN_A_LOOP.intersection(code.co_names):
                    loop.run(_awaited(code, namespace))
                else:
                    exec(code, namespace)  # noqa: S102 - likewise
    except BaseException:
        if namespace.get("__name__") == "__main__":
            _show_from_the_cell_on(title)
        raise
    finally:
        loop.close()


async def _awaited(code: CodeType, namespace: dict[str, Any]) -> None:
    exec(code, namespace)  # noqa: S102 - the user's own code


class _Loop:
    """The one event loop of a program; there is one once a cell awaits something."""

    def __init__(self) -> None:
        self._loop: Any = None

    def run(self, awaitable: Any) -> None:
        import asyncio  # slow to import, and few notebooks need it

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(awaitable)

    def close(self) -> None:
        """Ends what still runs, as `asyncio.run` does."""
        if self._loop is None or self._loop.is_closed():
            return
        import asyncio

        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


def _prepare(shell: Shell) -> None:
    """What cells use without importing it, and what a job has in a notebook's place."""
    if "" not in sys.path:
        # As in a kernel: modules are found where a cell has changed to, too.
        homes = [os.path.basename(path) in ("site-packages", "dist-packages") for path in sys.path]
        sys.path.insert(homes.index(True) if True in homes else len(homes), "")
    vars(builtins).update(get_ipython=lambda: shell, display=shell.display)
    if os.environ.get("MPLBACKEND", _INLINE).startswith(_INLINE):
        os.environ["MPLBACKEND"] = "agg"  # figures have no notebook to go to
    default = getattr(threading, "__excepthook__", threading.excepthook)
    if not _KNOWS_LINECACHE and threading.excepthook is default:
        threading.excepthook = _thread_failed


def _futures() -> int:
    flags = 0
    for name in features.all_feature_names:
        flags |= getattr(features, name).compiler_flag
    return flags


def _remember(name: str, source: str, shown: dict[int, str]) -> None:
    lines = [line + "\n" for line in source.split("\n")]
    for line, text in shown.items():
        lines[line - 1] = text + "\n"
    # Without a time of change, linecache.checkcache lets it be.
    linecache.cache[name] = (len(source), None, lines, name)


def _compiled(source: str, name: str, flags: int, shown: dict[int, str]) -> CodeType:
    tree: Any = compile(source, name, "exec", flags | ast.PyCF_ONLY_AST, True)
    if "get_ipython" in source and "import" in source:
        tree = _OursForIPythons().visit(tree)
    nodes: Any = ast.walk(tree) if shown else ()
    for node in nodes:
        text = shown.get(getattr(node, "lineno", 0))
        if text is not None:
            # The whole of what the user wrote there: parts of our text have no place in it.
            node.col_offset = len(text) - len(text.lstrip())
            node.end_lineno, node.end_col_offset = node.lineno, len(text.encode())
    return compile(tree, name, "exec", flags, True)  # type: ignore[no-any-return]


class _OursForIPythons(ast.NodeTransformer):
    """``from IPython import get_ipython`` gives ours: IPython's own has no shell to give here."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        ours = [alias for alias in node.names if alias.name == "get_ipython"]
        if not ours or node.module not in ("IPython", "IPython.core.getipython"):
            return node
        rest = [alias for alias in node.names if alias not in ours]
        made = [ast.ImportFrom(module="builtins", names=ours, level=0)]
        if rest:
            made.append(ast.ImportFrom(module=node.module, names=rest, level=0))
        return [ast.copy_location(one, node) for one in made]


# --- what failed ----------------------------------------------------------------------------------


def _show_from_the_cell_on(title: str) -> None:
    """Leaves our own frames out of the traceback that ends the program."""
    hook = sys.excepthook
    if hook is sys.__excepthook__ and not _KNOWS_LINECACHE:
        # Imported by the hook itself, it would make Python forget that SIGINT is to end it.
        import traceback

        hook = traceback.print_exception

    def shown(
        kind: type[BaseException], error: BaseException, frames: TracebackType | None
    ) -> None:
        error.__traceback__ = _from_the_cell_on(frames, title)
        hook(kind, error, error.__traceback__)

    sys.excepthook = shown


def _from_the_cell_on(frames: TracebackType | None, title: str) -> TracebackType | None:
    found = frames
    while found is not None:
        if found.tb_frame.f_code.co_filename.startswith(f"{title}, cell "):
            return found
        found = found.tb_next
    return frames


def _thread_failed(args: Any) -> None:
    """As `threading.excepthook`, with the lines of cells."""
    if args.exc_type is SystemExit or sys.stderr is None:
        return
    import traceback

    name = args.thread.name if args.thread is not None else threading.get_ident()
    print(f"Exception in thread {name}:", file=sys.stderr, flush=True)
    traceback.print_exception(args.exc_type, args.exc_value, args.exc_traceback)
    sys.stderr.flush()
