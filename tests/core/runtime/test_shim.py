from __future__ import annotations

import ast
import base64
import json
import math
import os
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core.runtime import shim
from fairing_core.values import replace
from tests.core.preprocess.harness import Container, Project, Ran


def run(
    project: Project, container: Container, program: str, *args: Any, environ: Any = None
) -> Ran:
    """Runs `train` of `program`."""
    project.write("train.py", program)
    context = project.function(project.load("train").train, *args)
    return container.run(context, **(environ or {}))


# --- the record -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -1, 1.5, "", "é", "\udc80", [], {}, math.inf, -0.0),
        {"a": [1, 2.0, None, {"b": "c"}]},
    ],
)
def test_a_value_that_json_brings_back_is_returned(
    project: Project, container: Container, value: Any
) -> None:
    ran = run(project, container, "def train(x): return x", value)
    assert (ran.code, ran.record) == (0, {"schema": 1, "returned": value})
    assert repr(ran.value) == repr(value)


def test_an_int_of_too_many_digits_for_json_is_pickled(
    project: Project, container: Container
) -> None:
    assert run(project, container, "def train(n): return 10**n", 4000).value == 10**4000
    ran = container.run(project.function(project.load("train").train, 5000))
    assert ran.record is not None
    assert pickle.loads(base64.b64decode(ran.record["pickled"])) == 10**5000


def test_nan_is_returned(project: Project, container: Container) -> None:
    assert math.isnan(run(project, container, "def train(): return float('nan')").value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ((1, 2), "tuple"),
        ([(1, 2)], "list"),
        ({1: 2}, "dict"),
        ({"a": {1}}, "dict"),
        (b"x", "bytes"),
        (Decimal("1.5"), "decimal.Decimal"),
    ],
)
def test_another_value_is_pickled(
    project: Project, container: Container, value: Any, name: str
) -> None:
    ran = run(project, container, "def train(x): return x", value)
    assert ran.code == 0
    assert ran.record is not None
    assert set(ran.record) == {"schema", "pickled", "type"}
    assert ran.record["type"] == name
    assert pickle.loads(base64.b64decode(ran.record["pickled"])) == value


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("def train(): return (i for i in [1])", "generator"),
        ("import threading\ndef train(): return threading.Lock()", "_thread.lock"),
        ("def train():\n    x = []\n    for _ in range(99999): x = [x]\n    return x",
         "list"),
    ],
)  # fmt: skip
def test_a_value_that_can_not_be_pickled_is_lost_and_the_run_succeeds(
    project: Project, container: Container, program: str, name: str
) -> None:
    ran = run(project, container, program)
    assert ran.code == 0, ran.err
    assert ran.record is not None
    assert set(ran.record) == {"schema", "lost", "type"}
    assert ran.record["type"] == name
    assert ran.record["lost"]


def test_a_list_that_holds_itself_is_pickled(project: Project, container: Container) -> None:
    ran = run(project, container, "def train():\n    x = []\n    x.append(x)\n    return x")
    assert ran.record is not None
    value = pickle.loads(base64.b64decode(ran.record["pickled"]))
    assert value[0] is value


_leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.binary() | st.decimals() | st.complex_numbers()
)  # fmt: skip
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
)


@given(_values)
def test_what_comes_back_has_the_types_and_values_that_left(value: Any) -> None:
    record = json.loads(shim._described(value))
    if "returned" in record:
        back = record["returned"]
    else:
        back = pickle.loads(base64.b64decode(record["pickled"]))
    assert repr(back) == repr(value)  # tells 1 from True and 1.0, and nan is nan


def test_without_a_place_for_it_there_is_no_record(project: Project, container: Container) -> None:
    ran = run(project, container, "def train(): print('ran')", environ={"FAIRING_RESULT": ""})
    assert (ran.code, ran.out, ran.record) == (0, "ran\n", None)


LIMIT = {"FAIRING_RESULT_LIMIT": "400"}


def test_a_record_up_to_the_limit_comes_home_and_a_larger_one_is_lost_with_both_sizes(
    project: Project, container: Container
) -> None:
    fits = "x" * (400 - len(json.dumps({"schema": 1, "returned": ""})))
    ran = run(project, container, "def train(x): return x", fits, environ=LIMIT)
    assert ran.record == {"schema": 1, "returned": fits}
    ran = run(project, container, "def train(x): return x", fits + "x", environ=LIMIT)
    assert ran.code == 0
    assert ran.record is not None
    assert ran.record["type"] == "str"
    assert ran.record["lost"].startswith("its record has 401 bytes, and 400 come home from here")


def test_an_error_too_large_for_the_limit_keeps_its_start_and_the_end_of_its_traceback(
    project: Project, container: Container
) -> None:
    program = "def train(n):\n    if n: train(n - 1)\n    raise KeyError('ж' * 2000)"
    ran = run(project, container, program, 50, environ=LIMIT)
    assert ran.code == 1
    assert ran.record is not None
    raised = ran.record["raised"]
    assert raised["type"] == "KeyError"
    assert raised["message"].startswith("'ж")
    assert raised["traceback"].startswith("[...]")
    assert len(json.dumps(ran.record)) <= 400


def test_with_a_limit_the_record_is_written_in_place(
    project: Project, container: Container, tmp_path: Path
) -> None:
    place = tmp_path / "mount"
    place.touch()
    before = place.stat().st_ino
    environ = {**LIMIT, "FAIRING_RESULT": str(place)}
    run(project, container, "def train(): return 1", environ=environ)
    assert json.loads(place.read_text()) == {"schema": 1, "returned": 1}
    assert place.stat().st_ino == before
    ran = run(project, container, "def train(): return 1", environ={**LIMIT, "FAIRING_RESULT": "/"})
    assert ran.code == 74
    assert "the result can't be written" in ran.err


def test_the_function_does_not_see_where_its_record_goes(
    project: Project, container: Container
) -> None:
    ran = run(
        project,
        container,
        "import os\ndef train(): return [os.environ.get(x) for x in"
        " ('FAIRING_RESULT', 'FAIRING_RUNTIME')]",
    )
    assert ran.value == [None, "1"]


def test_the_record_is_written_where_it_was_named_whatever_the_directory_is_then(
    project: Project, container: Container
) -> None:
    program = "import os\ndef train():\n    os.chdir('/')\n    return 1"
    run(project, container, program, environ={"FAIRING_RESULT": "here.json"})
    assert json.loads((container.folder / "app" / "here.json").read_text())["returned"] == 1


def test_a_forked_child_writes_no_record(project: Project, container: Container) -> None:
    program = """
        import os
        def train():
            child = os.fork()
            if not child:
                raise ValueError("the child's")
            os.waitpid(child, 0)
            return "the parent's"
    """
    ran = run(project, container, program)
    assert ran.value == "the parent's"
    assert "the child's" in ran.err


FULL = """
    import resource
    def train(fail):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # as a disk that is full
        if fail:
            raise ValueError("x" * 1000)
        return "x" * 1000
"""


def test_a_record_that_can_not_be_written_is_said_and_ends_with_74(
    project: Project, container: Container
) -> None:
    ran = run(project, container, FULL, False)
    assert (ran.code, ran.record) == (74, None)
    assert "function_shim: the result can't be written: " in ran.err
    assert [path.name for path in container.folder.glob("result*")] == []


def test_a_failed_run_stays_one_when_its_record_can_not_be_written(
    project: Project, container: Container
) -> None:
    ran = run(project, container, FULL, True)
    assert (ran.code, ran.record) == (1, None)
    assert "ValueError: xxx" in ran.err
    assert "can't be written" in ran.err


def test_a_folder_that_is_gone_is_said(project: Project, container: Container) -> None:
    ran = run(project, container, "def train(): pass", environ={"FAIRING_RESULT": "/no/such/x"})
    assert ran.code == 74
    assert "No such file or directory" in ran.err


# --- what the function raises ---------------------------------------------------------------------


def test_an_exception_is_recorded_and_printed_from_the_users_first_frame(
    project: Project, container: Container
) -> None:
    ran = run(project, container, "def deep(): 1 / 0\ndef train(): deep()")
    assert ran.code == 1
    assert ran.record is not None
    assert set(ran.record) == {"schema", "raised"}
    raised = ran.record["raised"]
    assert (raised["type"], raised["module"]) == ("ZeroDivisionError", "builtins")
    assert raised["message"] == "division by zero"
    assert ran.err == raised["traceback"]
    files = [line for line in ran.err.splitlines() if line.startswith("  File")]
    assert files == [
        '  File "train.py", line 2, in train',
        '  File "train.py", line 1, in deep',
    ]


def test_an_exception_in_a_coroutine_starts_at_the_users_frame(
    project: Project, container: Container
) -> None:
    ran = run(project, container, "async def train(): raise ValueError('no')")
    assert ran.err.splitlines()[1] == '  File "train.py", line 1, in train'


def test_causes_and_contexts_are_shown(project: Project, container: Container) -> None:
    program = """
        def train():
            try:
                try:
                    {}["key"]
                except KeyError as exc:
                    raise ValueError("second") from exc
            except ValueError:
                raise RuntimeError("third")
    """
    ran = run(project, container, program)
    assert ran.record is not None
    assert ran.record["raised"]["type"] == "RuntimeError"
    for text in ("KeyError: 'key'", "ValueError: second", "direct cause", "RuntimeError: third"):
        assert text in ran.record["raised"]["traceback"]
        assert text in ran.err
    assert "function_shim" not in ran.err


def test_a_group_is_shown_with_its_members(project: Project, container: Container) -> None:
    ran = run(project, container, "def train(): raise ExceptionGroup('two', [OSError('a'), "
              "ValueError('b')])")  # fmt: skip
    assert ran.record is not None
    assert ran.record["raised"]["type"] == "ExceptionGroup"
    assert "OSError: a" in ran.record["raised"]["traceback"]
    assert "ValueError: b" in ran.err


def test_the_type_of_a_programs_own_exception_is_told(
    project: Project, container: Container
) -> None:
    ran = run(
        project,
        container,
        "class Bad(Exception): pass\nclass Outer:\n    class Bad(Bad): pass\n"
        "def train(): raise Outer.Bad('no')",
    )
    assert ran.record is not None
    raised = ran.record["raised"]
    assert (raised["module"], raised["type"], raised["message"]) == ("train", "Outer.Bad", "no")


def test_an_exception_whose_str_raises_is_told_all_the_same(
    project: Project, container: Container
) -> None:
    ran = run(
        project,
        container,
        "class Bad(Exception):\n    def __str__(self): raise OSError('no')\n"
        "def train(): raise Bad()",
    )
    assert ran.code == 1
    assert ran.record is not None
    assert ran.record["raised"]["type"] == "Bad"
    assert "OSError" in ran.record["raised"]["message"]
    assert "Bad" in ran.err


def test_endless_recursion_is_told(project: Project, container: Container) -> None:
    ran = run(project, container, "def train(): train()")
    assert ran.code == 1
    assert ran.record is not None
    assert ran.record["raised"]["type"] == "RecursionError"
    assert "Previous line repeated" in ran.err


def test_an_exception_that_is_no_exception_is_told(project: Project, container: Container) -> None:
    ran = run(project, container, "class Stop(BaseException): pass\ndef train(): raise Stop('x')")
    assert ran.code == 1
    assert ran.record is not None
    assert ran.record["raised"]["type"] == "Stop"


def test_wrong_arguments_are_told_without_frames_of_ours(
    project: Project, container: Container
) -> None:
    ran = run(project, container, "def train(): pass", 1)
    assert ran.err == "TypeError: train() takes 0 positional arguments but 1 was given\n"
    assert ran.record is not None
    assert ran.record["raised"]["traceback"] == ran.err


def test_a_hook_of_the_users_prints_the_error(project: Project, container: Container) -> None:
    ran = run(
        project,
        container,
        "import sys\ndef hook(*a): print('hooked', a[0].__name__, file=sys.stderr)\n"
        "def train():\n    sys.excepthook = hook\n    raise ValueError('no')",
    )
    assert ran.err == "hooked ValueError\n"


def test_a_hook_that_raises_does_not_hide_the_error(project: Project, container: Container) -> None:
    ran = run(
        project,
        container,
        "import sys\ndef train():\n    sys.excepthook = lambda *a: 1 / 0\n    raise ValueError",
    )
    assert "\nValueError\n" in ran.err
    assert ran.record is not None
    assert ran.record["raised"]["type"] == "ValueError"


@pytest.mark.parametrize(
    ("code", "expected", "err"),
    [("", 0, ""), ("0", 0, ""), ("3", 3, ""), ("None", 0, ""), ("'bye'", 1, "bye\n")],
)
def test_sys_exit_means_what_it_means_in_python(
    project: Project, container: Container, code: str, expected: int, err: str
) -> None:
    ran = run(project, container, f"import sys\ndef train(): sys.exit({code})")
    assert (ran.code, ran.err, ran.record) == (expected, err, None)


def test_an_interrupt_ends_the_process_as_python_does(
    project: Project, container: Container
) -> None:
    ran = run(project, container, "def train(): raise KeyboardInterrupt")
    assert ran.code == -2  # killed by SIGINT, which shells and containers call 130
    assert ran.record is None


# --- before and after the call --------------------------------------------------------------------


def test_the_shims_own_flags_are_not_the_functions(project: Project, container: Container) -> None:
    project.write("train.py", "import sys\ndef train(): return sys.argv[1:]")
    context = project.function(project.load("train").train)
    assert container.run(context, "--lr", "1", "--python").value == ["--lr", "1", "--python"]


def test_flags_may_be_joined_to_their_values(project: Project, container: Container) -> None:
    context = project.function(len, "four")
    program, name, file, *_ = context.command[1:]
    joined = replace(context, command=("python", program, f"{name}={file}"))
    assert container.run(joined).value == 4


def test_a_missing_flag_is_told(project: Project, container: Container) -> None:
    context = project.function(len, "four")
    ran = container.run(replace(context, command=context.command[:2]))
    assert ran.code == 1
    assert "--serialized_fn_file FILE is missing" in ran.err


def test_another_python_is_refused_by_both_names(project: Project, container: Container) -> None:
    context = project.function(len, "four")
    ran = container.run(replace(context, command=(*context.command[:-1], "3.8")))
    assert ran.code == 1
    assert ran.record is not None
    for text in (ran.err, ran.record["raised"]["message"]):
        assert "was pickled by Python 3.8, but this image has Python 3." in text
        assert "use a base image with Python 3.8" in text
    assert "Traceback" not in ran.err


def test_a_module_that_the_image_lacks_is_told(project: Project, container: Container) -> None:
    project.write("site-packages/missing_here.py", "def f(): pass")
    project.write("train.py", "import sys\nsys.path.append('site-packages')\nimport missing_here\n"
                  "def train(): missing_here.f()")  # fmt: skip
    ran = container.run(project.function(project.load("train").train))
    assert ran.code == 1
    assert ran.err == (
        "ModuleNotFoundError: No module named 'missing_here'\n"
        "function_shim: the function could not be opened in this image, so it did not run\n"
    )


def test_output_is_the_functions_alone(project: Project, container: Container) -> None:
    ran = run(project, container, "def train():\n    print('out')\n    return 1")
    assert (ran.out, ran.err) == ("out\n", "")


def test_threads_and_exit_handlers_finish(project: Project, container: Container) -> None:
    program = """
        import atexit, threading, time
        def late():
            time.sleep(0.2)
            print("thread")
        def train():
            atexit.register(print, "atexit")
            threading.Thread(target=late).start()
    """
    assert run(project, container, program).out == "thread\natexit\n"


def test_a_programs_module_is_what_it_is_when_run_directly(
    project: Project, container: Container
) -> None:
    program = """
        import sys
        def other(): return 1
        def train():
            main = sys.modules["__main__"]
            return [main.train is train, main.other is other, main.__name__,
                    main.__file__.rpartition("/")[2], hasattr(main, "_publish"), other()]
    """
    ran = container.run(project.main(program))
    assert ran.value == [True, True, "__main__", "train.py", False, 1]


@pytest.mark.parametrize("name", ["shim.py", "answers.py"])
def test_what_travels_is_readable_by_python_3_8(name: str) -> None:
    source = (Path(shim.__file__).parent / name).read_text()
    tree = ast.parse(source, feature_version=(3, 8))
    assert any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
    )


def test_importing_the_shim_runs_nothing() -> None:
    assert shim.__name__ == "fairing_core.runtime.shim"
    assert "FAIRING_RESULT" not in os.environ
