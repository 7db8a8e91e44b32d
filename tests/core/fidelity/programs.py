"""The project that every column runs: its files, as bytes."""

from __future__ import annotations

import json
from pathlib import Path

# With a byte order mark, CRLF, text beyond ASCII, and no end of the last line.
MAIN = """\
\ufeffimport json, sys
import latin, probe
told = probe.look(__file__, "main.py", "latin.py", "probe.py")
told["arguments"] = [probe.below(sys.argv[0], __file__), *sys.argv[1:]]
told["__name__"] = __name__
told["text"] = latin.TEXT + "ü日本"
print(json.dumps(told))""".replace("\n", "\r\n").encode()

LATIN = "# -*- coding: latin-1 -*-\nTEXT = 'é'\n".encode("latin-1")

PROBE = b'''\
"""What a program sees."""

import hashlib, locale, os, sys


def below(path, file):
    return os.path.relpath(path, os.path.dirname(os.path.abspath(file)))


def look(file, *names):
    here = os.path.dirname(os.path.abspath(file))
    sources = {}
    for name in names:
        with open(os.path.join(here, name), "rb") as source:
            sources[name] = hashlib.sha256(source.read()).hexdigest()
    with open("data/x.csv") as data:
        rows = data.read()
    return {
        "sources": sources,
        "environment": {key: os.environ[key] for key in os.environ if key.startswith("T_")},
        "submitter": os.environ.get("SUBMITTERS_OWN"),
        "fairing": sorted(key for key in os.environ if key.startswith("FAIRING_")),
        "directory": [below(os.getcwd(), file), rows],
        "names": sorted(os.listdir("data")),
        "stdin": sys.stdin.read(),
        "encoding": [
            sys.stdout.encoding,
            sys.stdout.errors,
            sys.stderr.errors,
            sys.getfilesystemencoding(),
            locale.getpreferredencoding(False),
        ],
        "buffering": sys.stdout.write_through,
        "terminal": [sys.stdout.isatty(), sys.stderr.isatty()],
        "first": os.getpid() == 1,
    }
'''

ENDS = b"""\
import os, signal, sys, time

how = sys.argv[1]
print("begins", flush=True)
time.sleep(0.1)
if how.isdigit():
    sys.exit(int(how))
elif how == "text":
    sys.exit("why it ends")
elif how == "raise":
    raise ValueError("no good")
elif how == "_exit":
    os._exit(7)
elif how == "SIGABRT":
    os.abort()
elif how.startswith("SIG"):
    os.kill(os.getpid(), getattr(signal, how))
    time.sleep(0.2)
elif how == "wait":
    time.sleep(60)
print("goes on", flush=True)
"""

SAYS = r"""\
import sys, time

out, err = sys.stdout.buffer, sys.stderr.buffer
ALL = (
    b"plain\n"
    + "ü 日本 🚀\n".encode()
    + b"no utf-8: \xff\xe9 end\n"
    + b"10 %\r20 %\r100 %\n"
    + b"\x1b[31mred\x1b[0m\ttab \x00 nul\n\n"
    + b"x" * 1_000_000
    + b"\nno end of line"
)
what = sys.argv[1]


def each(number):
    for stream, name in ((out, b"out"), (err, b"err")):
        stream.write(b"%s %d\n" % (name, number))
        stream.flush()
        yield


if what in ("out", "err"):
    {"out": out, "err": err}[what].write(ALL)
elif what == "turns":
    for number in range(3):
        for _ in each(number):
            time.sleep(0.1)
elif what == "quick":
    for number in range(200):
        list(each(number))
elif what == "text":
    print("ü 日本 🚀", file=sys.stdout)
    print("ü 日本 🚀", file=sys.stderr)
""".encode()

FAILS = """\
import sys


def parse(text):
    return int(text)


def load(text):
    try:
        return parse(text)
    except ValueError as exc:
        raise RuntimeError("größe fehlt") from exc


def several():
    found = []
    for text in ("x", "y"):
        try:
            parse(text)
        except ValueError as exc:
            found.append(exc)
    raise ExceptionGroup("two of them", found)


def silent():
    try:
        parse("x")
    except ValueError:
        raise KeyError("k") from None


if __name__ == "__main__":
    {"cause": lambda: load("x"), "group": several, "from None": silent}[sys.argv[1]]()
""".encode()

WORK = """\
\ufeffimport datetime
import os
import signal
import sys
import time

import fails
import latin
import probe


class Box:
    def __init__(self, content):
        self.content = content

    def __repr__(self):
        return f"Box({self.content!r})"


def look(*args, **kwargs):
    told = probe.look(__file__, "work.py", "latin.py", "probe.py")
    told["arguments"] = [repr(args), repr(kwargs)]
    told["__name__"] = __name__
    told["text"] = latin.TEXT + "ü日本"
    return told


def gives(what):
    return {
        "plain": {"a": [1, -2.5, True, None, "ü", ""], "b": {}, "c": 2**70, "d": 1e300},
        "not a number": [float("nan"), float("inf")],
        "None": None,
        "large": "x" * 300_000,
        "pickled": (1, b"\\xff", 2j, datetime.date(2026, 1, 2), {1: "one"}, Box(3)),
    }[what]


def fail(what):
    if what == "own":
        raise ValueError("no good")
    elif what == "cause":
        fails.load("x")
    elif what == "group":
        fails.several()
    elif what == "from None":
        fails.silent()


def ends(how):
    print("begins", flush=True)
    time.sleep(0.1)
    if how.isdigit():
        sys.exit(int(how))
    elif how == "text":
        sys.exit("why it ends")
    elif how == "_exit":
        os._exit(7)
    elif how == "SIGABRT":
        os.abort()
    os.kill(os.getpid(), getattr(signal, how))


def waits():
    print("begins", flush=True)
    time.sleep(60)
""".replace("\n", "\r\n").encode()

CELLS = (
    """\
import json, os, signal, sys, time
import fails, latin, probe
how = os.environ["T_HOW"]""",
    """\
if how == "look":
    told = probe.look("lab.ipynb", "latin.py", "probe.py")
    told["__name__"] = __name__
    told["text"] = latin.TEXT + "ü日本"
    print(json.dumps(told))
    sys.exit()
print("begins", flush=True)
time.sleep(0.1)""",
    """\
def own():
    raise ValueError("no größe")


if how.isdigit():
    sys.exit(int(how))
elif how == "text":
    sys.exit("why it ends")
elif how == "SIGABRT":
    os.abort()
elif how.startswith("SIG"):
    os.kill(os.getpid(), getattr(signal, how))
    time.sleep(0.2)
elif how == "wait":
    time.sleep(60)
elif how == "own":
    own()""",
    """\
if how == "cause":
    fails.load("x")
elif how == "group":
    fails.several()
elif how == "from None":
    fails.silent()""",
    'print("goes on", flush=True)',
)

NOTEBOOK = json.dumps(
    {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "language": "python"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(CELLS, 1)
        ],
    }
).encode()

FILES = {
    "lab.ipynb": NOTEBOOK,
    "main.py": MAIN,
    "latin.py": LATIN,
    "probe.py": PROBE,
    "ends.py": ENDS,
    "says.py": SAYS,
    "fails.py": FAILS,
    "work.py": WORK,
    "data/x.csv": b"a,b\r\n1,2\n",
    "data/größe 日本.csv": b"",
}


def write(folder: Path) -> None:
    """Puts the project into `folder`."""
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
