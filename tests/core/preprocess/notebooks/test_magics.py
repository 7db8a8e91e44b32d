from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fairing_core.preprocess.notebooks import rules
from fairing_core.preprocess.notebooks.installs import Install
from fairing_core.preprocess.notebooks.magics import Converted, convert


def python(cell: str) -> str:
    """The cell as Python, where nothing of it is refused."""
    converted = convert(cell)
    assert converted.refused == ()
    return converted.source


def refused(cell: str) -> tuple[int, str]:
    """The one thing that is wrong with it: its line, and what is said."""
    (found,) = convert(cell).refused
    return found


# --- every form -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "source"),
    [
        ("!ls -l", "get_ipython().system('ls -l')"),
        ("  !ls", "get_ipython().system('ls')"),
        ("if x:\n    !ls", "if x:\n    get_ipython().system('ls')"),
        ("if x:\n\t!ls", "if x:\n\tget_ipython().system('ls')"),
        ("!!ls", "get_ipython().getoutput('ls')"),
        ("a = !ls", "a = get_ipython().getoutput('ls')"),
        ("a, b = !ls | sort", "a, b = get_ipython().getoutput('ls | sort')"),
        ("a: list = !ls", "a: list = get_ipython().getoutput('ls')"),
        ("(a,\n b) = !ls", "(a,\n b) = get_ipython().getoutput('ls')"),
        ("a = !echo \"it's", "a = get_ipython().getoutput('echo \"it\\'s')"),
        ("!echo a \\\n  b", "get_ipython().system('echo a    b')\n"),
        ("%env A=1", "get_ipython().run_line_magic('env', 'A=1')"),
        ("a = %env A", "a = get_ipython().run_line_magic('env', 'A')"),
        ("for x in y:\n    %cd {x}\nz = 1", None),
        ("%time f(1)", "get_ipython().run_line_magic('time', 'f(1)')"),
        ("%time x = %pwd",
         "get_ipython().run_line_magic('time', \"x = get_ipython().run_line_magic('pwd', '')\")"),
        ("%prun -l 5 f()", "get_ipython().run_line_magic('prun', '-l 5 f()')"),
        ("%pip list", "get_ipython().run_line_magic('pip', 'list')"),
        ("%%bash -e\nls\n", "get_ipython().run_cell_magic('bash', '-e', 'ls\\n')\n"),
        ("\n%%sh\nls", "\nget_ipython().run_cell_magic('sh', '', 'ls\\n')\n"),
        ("%%!\nls", "get_ipython().run_cell_magic('system', '', 'ls\\n')\n"),
        ("    x = 1\n    y = 2", "x = 1\ny = 2"),
        ("pip list", "get_ipython().run_line_magic('pip', 'list')"),
        ("ls", "get_ipython().run_line_magic('ls', '')"),
        ("cd data", "get_ipython().run_line_magic('cd', 'data')"),
    ],
)  # fmt: skip
def test_a_magic_becomes_python_in_its_place(cell: str, source: str | None) -> None:
    expected = "for x in y:\n    get_ipython().run_line_magic('cd', '{x}')\nz = 1"
    assert python(cell) == (expected if source is None else source) + "\n"


@pytest.mark.parametrize(
    "cell",
    [
        "s = '''\n!ls\n%env A=1\n'''",
        's = """\n%%bash\n"""',
        "f(a,\n  b\n  % c)",
        "x = 5 \\\n% 3",
        "x = [1,\n# !ls\n]",
        "# !ls\n#%env\n# what?",
        "x = f'{a!r}' + f'{b=}'",
        "f'''{x}\n!ls\n'''",
        "t = 'what?'",
        "x %= 2\ny /= 3\nz = x != y",
        "print('%d' % 3, a % b)",
        "x = {'a': 1}\n\n\n@decorator\ndef f():\n    return 1\n",
        "time = 3\ntime",
        "await f()\nasync with g() as h:\n    pass",
    ],
)
def test_what_only_looks_like_a_magic_stays(cell: str) -> None:
    assert convert(cell) == Converted(cell.removesuffix("\n") + "\n")


@pytest.mark.parametrize(
    ("cell", "source", "name"),
    [
        ("%matplotlib inline", "pass", "%matplotlib"),
        ("if x:\n    %load_ext autoreload\ny = 1", "if x:\n    pass\ny = 1", "%load_ext"),
        ("x?", "pass", "x?"),
        ("x.y[0]??", "pass", "x?"),
        ("?x", "pass", "?x"),
        ("??x", "pass", "?x"),
        ("%time?", "pass", "x?"),
        ("%timeit f(\\\n 1)", "pass\n", "%timeit"),
        ("%%timeit\nf(1)\n", "\n", "%%timeit"),
        ("%%html\n<b>hi</b>\n", "\n", "%%html"),
        ("%%time?", "pass", "x?"),
    ],
)
def test_what_means_nothing_in_a_job_is_left_out(cell: str, source: str, name: str) -> None:
    converted = convert(cell)
    assert converted.source == source + "\n"
    assert [what for _, what in converted.dropped] == [name]
    assert converted.refused == ()


@pytest.mark.parametrize(
    ("cell", "source", "lines"),
    [
        ("!pip install pandas", "pass", ["pandas"]),
        ("%pip install -q pandas", "pass", ["pandas"]),
        ("pip install pandas", "pass", ["pandas"]),
        ("!{sys.executable} -m pip install pandas", "pass", ["pandas"]),
        ("x = !pip install pandas", "x = []", ["pandas"]),
        ("try:\n    import a\nexcept ImportError:\n    %pip install a", None, ["a"]),
        ("%%capture\n!pip install pandas", "\npass", ["pandas"]),
        ("%time !pip install pandas", "get_ipython().run_line_magic('time', 'pass')", ["pandas"]),
    ],
)
def test_an_installation_becomes_a_requirement(
    cell: str, source: str | None, lines: list[str]
) -> None:
    converted = convert(cell)
    expected = "try:\n    import a\nexcept ImportError:\n    pass"
    assert converted.source == (expected if source is None else source) + "\n"
    assert [what for _, what in converted.installs] == [Install(tuple(lines))]


@pytest.mark.parametrize(
    ("cell", "line", "said"),
    [
        ("x = 1\n%run other.ipynb", 2, "%run has no place in a job: move that code into a module"),
        ("%pylab inline", 1, "import what you need"),
        ("%%perl\nprint 1", 1, "%%perl has no place in a job"),
        ("%nonsense 3", 1, "%nonsense has no place in a job: Fairing doesn't know it"),
        ("%%sql\nselect 1", 1, "%%sql has no place in a job: Fairing doesn't know it"),
        ("x = 1\n%%time\ny = 2", 2, "first line of its cell"),
        ("t = %timeit -o f()", 1, "no value to keep"),
        ("%%time x = 1\ny = 2", 1, "the lines below it"),
        ("%%bash", 1, "%%bash has no cell below it"),
        ("%%bash --bg\nsleep 1", 1, "a job waits"),
        ("/f 1 2", 1, "write the call out"),
        ("!pip install {x}", 1, "known only when it runs"),
        ("%%capture\nx = 1\n%run y", 3, "%run"),
        ("%conda install x", 1, "name the packages with %pip install"),
    ],
)
def test_the_rest_is_refused_with_its_line_and_what_to_do(cell: str, line: int, said: str) -> None:
    found = refused(cell)
    assert found[0] == line
    assert said in found[1]


def test_a_cell_magic_around_python_leaves_its_lines_where_they_are() -> None:
    converted = convert("%%time\nx = !ls\n\n%cd y\n")
    assert converted.source == (
        "\nx = get_ipython().getoutput('ls')\n\nget_ipython().run_line_magic('cd', 'y')\n"
    )
    assert converted.around == (("time", ""),)
    assert converted.shown == {1: "%%time", 2: "x = !ls", 4: "%cd y"}


def test_cell_magics_nest() -> None:
    converted = convert("%%capture out\n%%time\nx = 1\n")
    assert converted.around == (("capture", "out"), ("time", ""))
    assert converted.source == "\n\nx = 1\n"


def test_statements_that_magics_run_are_known_with_their_lines() -> None:
    converted = convert("x = 1\n%time import helper\n%%capture")
    assert converted.fragments == ((2, "import helper"),)


# --- the table ------------------------------------------------------------------------------------


def test_no_magic_has_two_rules() -> None:
    names = [name for rule in rules.RULES for name in rule.names.split()]
    assert len(names) == len(set(names))


def test_every_magic_of_ipythons_has_a_rule() -> None:
    from IPython.core.interactiveshell import InteractiveShell

    magics = InteractiveShell().magics_manager.lsmagic()
    aliases = {"lf", "lk", "ldir", "lx"}  # of ls, with other flags
    known = {f"%{name}" for name in set(magics["line"]) - aliases}
    known |= {f"%%{name}" for name in magics["cell"]}
    unruled = {name for name in known if not rules.is_known(name)}
    assert unruled == set()


@pytest.mark.parametrize("name", sorted(
    name for rule in rules.RULES if rule.fate == "kept" for name in rule.names.split()
    if name.startswith("%")
))  # fmt: skip
def test_every_kept_magic_is_there_inside_a_run(name: str) -> None:
    from fairing_core.runtime.shell import ALIASES, Shell

    word = name.lstrip("%").replace("!", "system")
    if name.startswith("%%"):
        inside = {"time", "prun", "capture"}
        assert word in inside or hasattr(Shell, f"_cell_{word}")
    else:
        assert word in {"time", "prun", *ALIASES} or hasattr(Shell, f"_line_{word}")


def test_what_a_run_leaves_out_is_what_the_table_drops() -> None:
    from fairing_core.runtime.shell import LEFT_OUT

    assert {rules.rule(f"%{name}").fate for name in LEFT_OUT} == {"dropped"}


# --- IPython itself -------------------------------------------------------------------------------

LINES = [
    "x = 1", "y = x % 2", "", "  ", "# !c", "# a?", "t = 'x?'", "s = '''", "'''", "f(", "[1,", ")",
    "]", "if x:", "else:", "for i in range(3):", "def f():", "    y = 2", "    return !ls", "  b",
    "\t!ls", "!echo hi", "  !echo hi", "!echo a \\", "x = 5 \\", "% 2", "!!ls", "!", "!=3", "! ls",
    "!echo 'it", "%env A=1", "  %env A", "%time x = 1", "% env", "%cd -q .", "a = !ls",
    "a, b = !echo \"it's", "z = %env HOME", "x: int = !ls", "x = y = !ls", "x =!ls", "x = % env A",
    "x = {'a': !b}", "x += !ls", "x == !ls", "x = (!ls)", "x?", "?x", "x.y??", "%time?",
    "!echo what?", "print(x)?", "x = y?", "x? # c", "x = f'{a!r} {b=}'", "f'''{", "@dec",
    "lambda a=1: 2", "'", '"a\\', "x = r'\\'", "!ls # c", "é = 1", "a = 1; b = !ls", "if x: !ls",
    "x = [1,", "2]; y = !ls", "(a,", " b) = !ls", "*a, b = !ls",
]  # fmt: skip
_HELP_CALL = re.compile(
    r"get_ipython\(\)\.(run_line_magic\('(pinfo2?|psearch)', .*\)|show_usage\(\))"
)


def compiles(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "cell", "exec", flags=0x2000)
    except (SyntaxError, ValueError):
        return False
    return True


def as_ipython(cell: str) -> str | None:
    """The cell as IPython would run it, help left out; None where that would be no Python."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        theirs = TransformerManager().transform_cell(cell)
    except (SyntaxError, IndentationError):
        return None
    theirs = _HELP_CALL.sub("pass", theirs)
    return theirs if compiles(theirs) else None


# Half of what can be made of these lines is no Python: so many are tried.
@settings(deadline=None, max_examples=500)
@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=5))
@example(["s = '''", "!echo hi", "'''", "!echo hi"])
@example(["!echo a \\", "  "])
def test_what_is_a_magic_to_ipython_is_one_to_us(lines: list[str]) -> None:
    cell = "\n".join(lines)
    ours, theirs = convert(cell), as_ipython(cell)
    # Help swallows what is open before it, in IPython; to us that is no Python, and refused.
    is_odd = "?" in cell and not compiles(ours.source)
    if ours.refused or is_odd or (theirs is None and not compiles(ours.source)):
        return
    assert theirs is not None
    assert [line for line in ours.source.split("\n") if line.strip()] == [
        line for line in theirs.split("\n") if line.strip()
    ]


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=7))
def test_every_line_keeps_its_number(lines: list[str]) -> None:
    cell = "\n".join(lines)
    ours = convert(cell)
    before, after = cell.rstrip().split("\n"), ours.source.split("\n")
    for number, line in enumerate(before):
        if number + 1 not in ours.shown:
            assert after[number].strip() == line.strip()
