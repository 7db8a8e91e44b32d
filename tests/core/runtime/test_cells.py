"""How a converted notebook runs, in an interpreter that has nothing installed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.preprocess.harness import Container, Project, Ran
from tests.core.preprocess.notebooks.made import packaged, write

Run = Callable[..., Ran]


@pytest.fixture
def run(project: Project, container: Container) -> Run:
    def run(*cells: str, args: tuple[str, ...] = (), **environ: str) -> Ran:
        write(project.root / "train.ipynb", *cells)
        return container.run(packaged(), *args, **environ)

    return run


# --- one program ----------------------------------------------------------------------------------


def test_cells_share_the_names_of_main(run: Run) -> None:
    ran = run(
        "x = 1\ndef f():\n    return x",
        "x = 2\nprint(f(), __name__, sorted(n for n in globals() if not n.startswith('_')))",
        "import __main__\nprint(__main__.x, __doc__, 'annotated' in globals())",
    )
    assert ran.out == "2 __main__ ['f', 'x']\n2 None False\n", ran.err


def test_arguments_exit_codes_and_the_end_are_a_programs(run: Run) -> None:
    ran = run(
        "import sys, atexit\natexit.register(print, 'bye')\nprint(sys.argv[1:])",
        "if __name__ == '__main__':\n    sys.exit(3)",
        "print('never')",
        args=("--epochs", "3"),
    )
    assert (ran.code, ran.out, ran.err) == (3, "['--epochs', '3']\nbye\n", "")


def test_a_future_import_holds_for_the_cells_after_it(run: Run) -> None:
    ran = run("from __future__ import annotations", "def f(x: nonsense): ...\nprint('fine')")
    assert ran.out == "fine\n", ran.err


def test_without_a_future_import_annotations_are_evaluated(run: Run) -> None:
    assert "NameError: name 'nonsense'" in run("def f(x: nonsense): ...").err


def test_pickles_and_processes_find_what_cells_define(run: Run) -> None:
    ran = run(
        "import pickle, multiprocessing\nclass Box: ...\ndef double(x):\n    return 2 * x",
        "if __name__ == '__main__':\n    print(type(pickle.loads(pickle.dumps(Box()))) is Box)",
        "if __name__ == '__main__':\n"
        "    for method in ('fork', 'spawn'):\n"
        "        with multiprocessing.get_context(method).Pool(2) as pool:\n"
        "            print(method, pool.map(double, [1, 2]))",
    )
    assert ran.out == "True\nfork [2, 4]\nspawn [2, 4]\n", ran.err


@pytest.mark.parametrize("change", ["%cd -q sub", "import os\nos.chdir('sub')"])
def test_modules_are_found_in_the_folder_that_a_cell_has_changed_to(run: Run, change: str) -> None:
    ran = run(
        "import os\nos.mkdir('sub')\nopen('sub/helper.py', 'w').write('x = 7')",
        change,
        "import helper\nprint(helper.x)",
    )
    assert ran.out == "7\n", ran.err


def test_a_cell_may_start_a_task_that_another_awaits(run: Run) -> None:
    ran = run(
        "import asyncio\nasync def late():\n    await asyncio.sleep(0)\n    return 7",
        "task = asyncio.create_task(late())\nloop = asyncio.get_running_loop()",
        "print(await task, asyncio.get_running_loop() is loop)",
    )
    assert ran.out == "7 True\n", ran.err


def test_cells_await_on_one_event_loop(run: Run) -> None:
    ran = run(
        "import asyncio\nqueue = asyncio.Queue()\n"
        "async def work():\n    while True:\n        await queue.put(1)\n"
        "        await asyncio.sleep(0)",
        "task = asyncio.create_task(work())\nawait queue.get()".replace(
            "task = ", "async def start():\n    return "
        ).replace("create_task(work())\n", "create_task(work())\ntask = await start()\n"),
        "print(await queue.get(), asyncio.get_running_loop() is task.get_loop())",
        "async def numbers():\n    yield 1\nprint([x async for x in numbers()])",
    )
    assert (ran.code, ran.out, ran.err) == (0, "1 True\n[1]\n", "")


def test_a_warning_is_shown_for_each_cell(run: Run) -> None:
    ran = run(*["import warnings\nwarnings.warn('careful')"] * 2)
    assert ran.err.count("UserWarning: careful") == 2
    assert "train.ipynb, cell 2:2: UserWarning: careful\n  warnings.warn('careful')\n" in ran.err


def test_figures_are_drawn_without_a_screen(run: Run) -> None:
    cell = "import os\nprint(os.environ['MPLBACKEND'])"
    assert run(cell).out == "agg\n"
    assert run(cell, MPLBACKEND="module://matplotlib_inline.backend_inline").out == "agg\n"
    assert run(cell, MPLBACKEND="pdf").out == "pdf\n"


# --- tracebacks -----------------------------------------------------------------------------------

FAILS = "def fails():\n    # by intent\n    raise ValueError('no')"


def test_an_uncaught_error_names_cells_and_lines_and_nothing_of_ours(run: Run) -> None:
    ran = run(FAILS, "x = 1\n\nfails()")
    assert ran.code == 1
    assert re.sub(r"\n +[~^]+\n", "\n", ran.err) == (
        "Traceback (most recent call last):\n"
        '  File "train.ipynb, cell 2", line 3, in <module>\n    fails()\n'
        "  File \"train.ipynb, cell 1\", line 3, in fails\n    raise ValueError('no')\n"
        "ValueError: no\n"
    )


@pytest.mark.parametrize(
    "cell",
    [
        "import traceback\ntry:\n    fails()\nexcept ValueError:\n    traceback.print_exc()",
        "import logging\ntry:\n    fails()\nexcept ValueError:\n    logging.exception('x')",
        "import threading\nt = threading.Thread(target=fails)\nt.start()\nt.join()",
        "from concurrent.futures import ThreadPoolExecutor as Pool\nPool().submit(fails).result()",
        "import os\nif not os.fork():\n    fails()\nos.wait()",
        "async def later():\n    fails()\nawait later()",
        "%time fails()",
        "import linecache\nlinecache.checkcache()\nfails()",
        "try:\n    fails()\nexcept ValueError as exc:\n    raise KeyError('y') from exc",
        "import sys, traceback\nsys.excepthook = traceback.print_exception\nfails()",
    ],
)
def test_every_traceback_names_the_cell_and_shows_the_line(run: Run, cell: str) -> None:
    ran = run(FAILS, cell)
    told = ran.out + ran.err
    where = "  File \"train.ipynb, cell 1\", line 3, in fails\n    raise ValueError('no')\n"
    assert where in told
    assert "cells.py" not in told


def test_a_magic_is_shown_as_it_was_written(run: Run) -> None:
    ran = run("x = 1\n%env NO_SUCH_NAME")
    where = '  File "train.ipynb, cell 1", line 2, in <module>\n    %env NO_SUCH_NAME\n  File'
    assert where in ran.err
    assert "UsageError: %env NO_SUCH_NAME: there is no variable of that name" in ran.err


def test_functions_of_cells_have_their_source(run: Run) -> None:
    ran = run("x = 1\n%cd -q .\ndef f():\n    return 'source'", "import inspect", "x = 2",
              "print(inspect.getsource(f), inspect.getsourcefile(f))")  # fmt: skip
    assert ran.out == "def f():\n    return 'source'\n train.ipynb, cell 1\n", ran.err


def test_a_keyboard_interrupt_ends_the_program_as_it_ends_a_script(run: Run) -> None:
    ran = run("raise KeyboardInterrupt")
    assert ran.code == -2
    assert '"train.ipynb, cell 1", line 1' in ran.err


def test_an_error_of_the_loop_is_told_from_the_cell_on(run: Run) -> None:
    ran = run("import asyncio\nasync def f():\n    1 / 0", "await asyncio.wait_for(f(), 5)")
    first = ran.err.splitlines()[1]
    assert first == '  File "train.ipynb, cell 2", line 1, in <module>'


# --- magics that are kept -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "out"),
    [
        (["x = 'a b'\n!echo {x} '$x' {len(x)} $$HOME", "print(_exit_code)"], None),
        (["!exit 7", "print(_exit_code)"], "7\n"),
        (["def f(word):\n    !echo $word\nf('local')"], "local\n"),
        (["lines = !printf 'b 1\\na 2\\n'; echo err >&2\nprint(lines, lines.s, lines.l is lines)"],
         "['b 1', 'a 2', 'err'] b 1 a 2 err True\n"),
        (["lines = !printf 'b 1\\na 2\\n'\nprint(lines.n)",
          "print(lines.grep('A'), lines.fields(1))"],
         "b 1\na 2\n['a 2'] ['1', '2']\n"),
        (["x = %system echo hi\nprint(x)"], "['hi']\n"),
        (["!echo '{\"a\": 1}' | awk '{print $1}'"], '{"a":\n'),
        (["%env A=1\n%set_env B 2\n!echo $A$B\nv = %env A\nprint(v)"],
         "env: A=1\nenv: B=2\n12\n1\n"),
        (["import os\nos.mkdir('d')\n%cd -q d\nhere = %pwd\nprint(os.path.basename(here))",
          "%cd -q -\nprint(os.path.exists('d'))"], "d\nTrue\n"),
        (["%%writefile made.py\nvalue = 3\n", "%%writefile -a made.py\nvalue += 1\n",
          "import made\nprint(made.value)"],
         "Writing made.py\nAppending to made.py\n4\n"),
        (["%%bash\nx=1\necho $x", "%%sh\necho sh", "%%python\nprint('py')", "%%script cat\nas is"],
         "1\nsh\npy\nas is\n"),
        (["%%bash --out got --err bad --no-raise-error\necho out; echo err >&2; exit 3",
          "print(repr(got), repr(bad))"], "'out\\n' 'err\\n'\n"),
        (["%%capture held --no-stderr\nprint('a')\n!echo b"], ""),
        (["%%capture held\nprint('a')\n!echo b", "print(held.stdout, end='')\nheld.show()"],
         "a\nb\na\nb\n"),
        (["%%capture held\n%%capture inner\nprint('a')", "print(inner, end='')"], "a\n"),
        (["%prun -l 3 x = 3\nprint(x)", "%%prun\ny = 4", "print(y)"], "3\n4\n"),
        (["display([1], 'a')\nprint(type(get_ipython()).__name__)",
          "print(hasattr(get_ipython(), 'kernel'))"],
         "[1]\n'a'\nShell\nFalse\n"),
        (["%mkdir sub\n%ls"], None),
    ],
)  # fmt: skip
def test_kept_magics_do_in_a_job_what_they_do_in_a_notebook(
    run: Run, cells: list[str], out: str | None
) -> None:
    ran = run(*cells, HOME="/root", PATH="/usr/bin:/bin")
    assert ran.code == 0, ran.err
    if out is None:
        expected = "a b a b 3 $HOME" if "echo" in cells[0] else "sub"
        assert expected.split(maxsplit=1)[0] in ran.out
    else:
        assert ran.out == out


def test_output_of_commands_comes_in_its_place_among_the_programs(run: Run) -> None:
    ran = run("print('1')\n!echo 2\nprint('3')", "%%bash\necho 4", "print('5')")
    assert ran.out == "1\n2\n3\n4\n5\n"


@pytest.mark.parametrize("cell", ["%time x = sum([1, 2])\nprint(x)", "%%time\nx = 3\nprint(x)"])
def test_times_are_told(run: Run, cell: str) -> None:
    ran = run(cell)
    lines = sorted(line.partition(":")[0] for line in ran.out.splitlines())
    assert lines == ["3", "CPU times", "Wall time"]


def test_a_script_that_fails_ends_the_program(run: Run) -> None:
    ran = run("%%bash\nexit 3", "print('never')")
    assert (ran.code, ran.out) == (1, "")
    assert "exit status 3" in ran.err
    assert '"train.ipynb, cell 1", line 1, in <module>\n    %%bash\n' in ran.err


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("get_ipython().run_line_magic('nonsense', '')", "there is no %nonsense inside a run"),
        ("get_ipython().run_cell_magic('nonsense', '', 'x')", "there is no %%nonsense inside a"),
        ("get_ipython().magic('nonsense 3')", "there is no %nonsense inside a run"),
        ("get_ipython().kernel.do_shutdown()", "get_ipython().kernel is IPython's"),
        ("%cd nowhere", "No such file or directory: 'nowhere'"),
        ("%cd -3", "no such folder among those of this run"),
        ("%set_env A", "sets nothing; write %set_env NAME=VALUE"),
        ("x = !sleep 1 &", "runs in the background"),
    ],
)
def test_what_can_not_be_done_says_so(run: Run, cell: str, said: str) -> None:
    ran = run(cell)
    assert ran.code == 1
    assert said in ran.err
    assert '"train.ipynb, cell 1", line 1' in ran.err


def test_what_ipython_shows_is_text_in_an_image_without_ipython(run: Run, project: Project) -> None:
    project.write("helper.py", "from IPython import get_ipython\nfrom IPython.display import HTML")
    ran = run(
        "from IPython.display import HTML, clear_output, display as show\nimport IPython",
        "show(HTML('<b>x</b>'), 3)\nclear_output(wait=True)\nprint(IPython.get_ipython())",
        "from helper import HTML as theirs, get_ipython\nprint(theirs('x').data, get_ipython())",
    )
    assert ran.out == "<IPython.core.display.HTML object>\n3\nNone\nx None\n", ran.err


OPTION = """
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.ast_node_interactivity = "all"
print(7)
"""


@pytest.mark.parametrize(
    "cell",
    [
        "from IPython import display\ndisplay.clear_output(wait=True)\ndisplay.display(7)",
        "import IPython\nIPython.display.display(7)",
        "import IPython.core.display as d\nd.display(7)",
        OPTION,
    ],
)
def test_however_a_cell_imports_what_shows_things_it_is_there(run: Run, cell: str) -> None:
    ran = run(cell)
    assert ran.out == "7\n", ran.err


@pytest.mark.parametrize("has_ipython", [False, True], ids=["without", "with"])
@pytest.mark.parametrize(
    "imported",
    [
        "from IPython import get_ipython",
        "from IPython import display, get_ipython as gi, get_ipython",
        "from IPython.core.getipython import get_ipython",
        "if True:\n    from IPython import get_ipython",
    ],
)
def test_get_ipython_is_ours_in_a_cell_that_imports_it(
    run: Run, project: Project, imported: str, has_ipython: bool
) -> None:
    if has_ipython:  # as it answers where no shell runs
        project.write("IPython/__init__.py", "def get_ipython(): pass\ndisplay = 1")
        project.write("IPython/core/getipython.py", "from IPython import get_ipython")
    ran = run(f"{imported}\nget_ipython().run_line_magic('matplotlib', 'inline')", "!echo hi")
    assert ran.out == "hi\n", ran.err


def test_a_library_that_asks_for_ipython_does_not_find_it(run: Run) -> None:
    ran = run(
        "import textwrap\nasks = compile('import IPython', textwrap.__file__, 'exec')\n"
        "try:\n    exec(asks)\nexcept ImportError as exc:\n    print(exc)"
    )
    assert ran.out == "No module named 'IPython'\n", ran.err


def test_a_module_may_call_a_magic_that_means_nothing_in_a_job(run: Run, project: Project) -> None:
    project.write("helper.py", "get_ipython().run_line_magic('matplotlib', 'inline')")
    assert run("import helper\nprint('fine')").out == "fine\n"


def test_secrets_are_hidden_where_the_whole_environment_is_shown(run: Run) -> None:
    ran = run("x = %env\nprint(x['MY_TOKEN'], x['OTHER'])", MY_TOKEN="s3cret", OTHER="o")
    assert ran.out == "<hidden> o\n"


def test_importing_what_runs_cells_loads_nothing_slow() -> None:
    program = (
        "import sys, fairing_core.runtime.cells;"
        "print(*{'asyncio', 'inspect', 'traceback', 'pluggy', 'logging'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout == "\n"
