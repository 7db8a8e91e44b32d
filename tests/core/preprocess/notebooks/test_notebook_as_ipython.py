"""A converted notebook prints what its cells print when IPython runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.core.preprocess.harness import Container
from tests.core.preprocess.notebooks.made import packaged, write

Run = Callable[[Sequence[str], Path], Any]

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": tempfile.gettempdir(),
    "SHELL": "/bin/bash",
    "LC_ALL": "C.UTF-8",
}
FIRST = "import asyncio, os, sys\nnumber, word, items = 1, 'a b', []\nos.mkdir('sub')"

# Each stands for itself in a cell, or indented in a block of one.
SNIPPETS = [
    "number += 1",
    "print(number, word, items)",
    "items.append(number % 3)",
    "word = word + '!'",
    "word = 'žluť 🐎'",
    "!echo {number} $word",
    "!echo '{word}' $$HOME {len(items)} $number",
    '!echo "{word.upper()}" | tr A-Z a-z',
    "!printf 'x\\ny\\n'; exit 3\nprint(_exit_code)",
    "!echo one \\\n    two",
    "items = !printf 'b\\na\\n' | sort\nprint(items, items.s, items.n)",
    "items = !echo err >&2; echo {word}",
    "%env NUMBER={number}\nprint(os.environ['NUMBER'])",
    "%set_env WORD $word",
    "value = %env HOME\nprint(value == os.environ['HOME'])",
    "%cd -q sub\nprint(os.path.basename(os.getcwd()))\n%cd -q ..",
    "here = %pwd\nprint(os.path.isdir(os.path.join(here, 'sub')))",
    "%autoawait asyncio",
    "print(f'{word!r:>8} {number=}', '%d' % number, number\n  % 2)",
    "if number % 2:\n    !echo odd\nelse:\n    print('even')",
    "for item in items[:2]:\n    !echo {item}\n    print(item)",
    "def shown(what):\n    inner = what * 2\n    !echo {inner} $what\n    return inner",
    "print(shown('z') if 'shown' in globals() else None)",
    "with open('sub/f', 'w') as file:\n    file.write(word)\n!cat sub/f; echo",
    "try:\n    print(1 / (number - number))\nexcept ZeroDivisionError as exc:\n    print(exc)",
    "class Box:\n    def __repr__(self):\n        return f'<{word}>'\nprint(Box())",
    "print([n for n in range(number)][:3])",
    "get_ipython().system('echo called')",
    "print(sorted(n for n in ('number', 'word') if n in globals()))",
]  # fmt: skip

# Whole cells: what is around the lines of another cell, or stands alone.
ALONE = [
    'text = """\n!echo no\n%env no\n%%bash\n"""\nprint(text)',
    "%%bash\nfor i in 1 2; do\n  echo $i\ndone",
    "%%sh\necho \"$NUMBER\" '{number}'",
    "%%bash --out said\necho said\n",
    "%%writefile sub/made.txt\n{number} as it is\n",
    "!cat sub/made.txt 2>/dev/null\nprint()",
    "%%python3\nprint('other', 1 + 1)",
    "async def later(n):\n    await asyncio.sleep(0)\n    return n + 1\nprint(await later(number))",
    "print([await asyncio.sleep(0, n) for n in range(3)])",
    "from __future__ import annotations\ndef annotated(x: nonsense): ...\nprint('fine')",
    "    number = 5\n    print(number)",
    "%env ALONE=1",
    "# only a comment",
    "",
]
AROUND = ["", "", "", "%%capture held\n", "%%capture\n", "%%capture --no-stdout\n"]


def block(lines: str, head: str) -> str:
    return head + textwrap.indent(lines, "    ") if head else lines


HEADS = ["", "", "", "if True:\n", "for _ in range(2):\n", "while number < 9:\n    number += 4\n"]
heads = st.sampled_from(HEADS)
blocks = st.builds(block, st.sampled_from(SNIPPETS), heads)
cells = st.one_of(
    st.sampled_from(ALONE),
    st.builds(
        lambda around, parts: around + "\n".join(parts),
        st.sampled_from(AROUND),
        st.lists(blocks, min_size=1, max_size=4),
    ),
    st.just("print(held.stdout) if 'held' in globals() else None"),
)


@pytest.fixture(scope="module")
def ipython(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Run]:
    home = tmp_path_factory.mktemp("ipython")
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("ipython_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | {"IPYTHONDIR": str(home), "TERM": "dumb"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    streams = process.stdin, process.stdout

    def run(cells: Sequence[str], folder: Path) -> Any:
        print(json.dumps({"cells": cells, "folder": str(folder)}), file=streams[0], flush=True)
        return json.loads(streams[1].readline())

    with process:
        yield run
        process.stdin.close()


@settings(
    max_examples=15, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(notebook=st.lists(cells, min_size=1, max_size=6))
@example(notebook=ALONE)
@example(notebook=["\n".join(SNIPPETS)])
@example(notebook=["\n".join(block(snippet, "if True:\n") for snippet in SNIPPETS)])
@example(notebook=[f"%%capture held\n{snippet}" for snippet in SNIPPETS] + ["print(held)"])
def test_a_job_prints_what_the_notebook_prints(
    notebook: list[str], ipython: Run, bare_python: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "theirs").mkdir()
        theirs = ipython([FIRST, *notebook], folder / "theirs")
        write(folder / "train.ipynb", FIRST, *notebook)
        context = packaged(folder / "train.ipynb")
        container = Container(bare_python, folder / "image")
        ours = container.run(context, **ENVIRONMENT)
        assert theirs["code"] == 0, theirs
        assert (ours.code, ours.out) == (0, theirs["out"]), ours.err
