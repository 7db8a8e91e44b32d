"""Kinds of objects that belong to one process, and what to do instead of sending one."""

from __future__ import annotations

import re

# By the full name of a class, or of one that it inherits from. None of them is imported.
_FILES = r"_io\..*|io\..*|tempfile\..*|gzip\.GzipFile|zipfile\.ZipFile|h5py\..*"
_LOCKS = (
    r"(?:_thread|threading|multiprocessing\.synchronize|asyncio\.\w+)\."
    r"(?:_?[Rr]?[Ll]ock|Condition|Event|\w*Semaphore|Barrier|_?local)"
)
_WORKERS = (
    r"(?:threading|multiprocessing\.\w+|concurrent\.futures\.\w+|asyncio\.\w+|_asyncio|_?queue"
    r"|weakref)\..*"
)
_DEVICES = r"(?:torch|cupy|jax|jaxlib|tensorflow|pycuda|numba|pynvml)(?:\.\w+)*\..*"
_STREAMS = r"builtins\.(?:\w*generator|coroutine|\w*_?iterator)|itertools\..*"
_LINES = (
    r"_?socket\.socket|_?ssl\..*|http\.client\..*|sqlite3\..*"
    r"|.*\.\w*(?:Session|Client|Connection|Engine|Cursor|Channel|Pool)"
)
_KERNEL = r"IPython\.core\.interactiveshell\.InteractiveShell"
_PROCESS = r"builtins\.frame|builtins\.traceback|subprocess\.Popen"

_ADVICE = {
    re.compile(_FILES): "open it inside the function: pass its path, and name it in input_files",
    re.compile(_LOCKS): "make it inside the function: another process has no use for this one",
    re.compile(_WORKERS): "start it inside the function: what runs here does not travel",
    re.compile(_DEVICES): (
        "it belongs to a device of this process: move data to the CPU (.cpu(), .get()), and make "
        "streams, contexts and generators inside the function"
    ),
    re.compile(_STREAMS): "pass a list of what it gives, or make it inside the function",
    re.compile(_LINES): (
        "connect inside the function: pass what it connects to, and secrets as environment "
        "variables of the run"
    ),
    re.compile(_KERNEL): (
        "it is the notebook's own, and its magics and ! commands are calls of it: in a function, "
        "use Python for what they do (os, subprocess)"
    ),
    re.compile(_PROCESS): "it belongs to this process: pass what you need of it as plain values",
}


def advice_for(value: object) -> str | None:
    """What to do instead of sending `value`; None where it is of no such kind.

    >>> import threading
    >>> advice_for(threading.Lock())
    'make it inside the function: another process has no use for this one'
    >>> advice_for([1])
    """
    names = [f"{cls.__module__}.{cls.__qualname__}" for cls in type(value).__mro__]
    for kind, advice in _ADVICE.items():
        if any(map(kind.fullmatch, names)):
            return advice
    return None
