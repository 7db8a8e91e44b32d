from __future__ import annotations

import base64
import functools
import logging
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import pytest

import fairing_core
from fairing_core import errors
from fairing_core.interfaces import Preprocessor
from fairing_core.preprocess.function import FunctionPreprocessor
from fairing_core.types import BuildContext, Source
from tests.core.preprocess.harness import Container, Project, content, named


def opened(context: BuildContext) -> Any:
    """(function, args, kwargs), as this process opens them."""
    return pickle.loads(content(named(context)["pickled_fn.p"]))


# --- the context ----------------------------------------------------------------------------------


def test_it_is_a_preprocessor() -> None:
    assert isinstance(FunctionPreprocessor(), Preprocessor)


def test_the_command_runs_the_shim_on_the_pickle_with_this_python(project: Project) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    context = project.function(len, "four")
    assert context.command == (
        *("python", "/app/function_shim.py"),
        *("--serialized_fn_file", "/app/pickled_fn.p"),
        *("--python_version", version),
    )
    assert (context.workdir, context.python) == ("/app", version)


def test_the_prefix_is_where_all_of_it_lands(project: Project) -> None:
    context = project.function(len, "four", path_prefix="/srv/code")
    assert {file.destination.split("/")[1:3] == ["srv", "code"] for file in context.files} == {True}
    assert context.command[1] == "/srv/code/function_shim.py"
    assert context.workdir == "/srv/code"


def test_the_whole_of_cloudpickle_travels(project: Project) -> None:
    home = Path(cloudpickle.__file__).parent
    expected = {f"/app/cloudpickle/{path.name}" for path in home.glob("*.py")}
    files = {file.destination: file for file in project.function(len).files}
    assert expected <= set(files)
    assert {files[name].mode for name in expected} == {0o644}


def test_function_arguments_and_keywords_are_one_pickle(project: Project) -> None:
    shared = [1, 2]
    context = project.function(len, shared, kwargs={"again": shared})
    function, args, kwargs = opened(context)
    assert (function, args, kwargs) == (len, ([1, 2],), {"again": [1, 2]})
    assert args[0] is kwargs["again"]


def test_the_function_may_be_an_option(project: Project) -> None:
    context = FunctionPreprocessor(function_obj=len).preprocess(Source("function", args=("x",)))
    assert opened(context)[0] is len


def test_no_function_is_an_error() -> None:
    with pytest.raises(errors.EmptyEntry, match="entry_point"):
        FunctionPreprocessor().preprocess(Source("function"))


@pytest.mark.parametrize("wrong", [object, 3, object()])
def test_what_can_not_be_run_is_an_error(project: Project, wrong: Any) -> None:
    with pytest.raises(errors.InputError, match="train"):
        project.function(wrong)


def test_a_script_is_another_preprocessors() -> None:
    with pytest.raises(errors.InputError, match="packages functions, not a script"):
        FunctionPreprocessor().preprocess(Source("script", Path("train.py")))


def test_inputs_keep_their_path_from_the_functions_folder(project: Project) -> None:
    project.write("train.py", "def train(): pass")
    project.write("data/a.csv", "1")
    project.write("b.csv", "2")
    train = project.load("train").train
    context = project.function(train, input_files=["data"], output_map={"b.csv": "/mnt/b.csv"})
    files = {file.destination: file.reason for file in context.files}
    assert files["/app/data/a.csv"] == "input_files"
    assert files["/mnt/b.csv"] == "output_map"


# --- what travels with it -------------------------------------------------------------------------


def test_the_functions_own_source_and_the_modules_it_uses_travel(project: Project) -> None:
    project.write("train.py", "import helper\ndef train():\n    import late\n    helper.f()")
    project.write("helper.py", "from deep import x\ndef f(): pass")
    project.write("deep/__init__.py", "x = 1")
    project.write("late.py")
    project.write("unused.py")
    files = named(project.function(project.load("train").train))
    assert set(files) == {
        *("train.py", "helper.py", "late.py", "deep/__init__.py", "pickled_fn.p"),
    }
    assert files["train.py"].reason == files["pickled_fn.p"].reason == "entry"
    assert files["deep/__init__.py"].reason == "imported by helper.py"


def test_a_module_that_only_an_argument_needs_travels(project: Project) -> None:
    project.write("train.py", "def train(model): pass")
    project.write("models.py", "class Model: pass")
    model = project.load("models").Model()
    files = named(project.function(project.load("train").train, model))
    assert files["models.py"].reason == "imported by pickled_fn.p"


def test_the_root_of_a_packages_module_holds_the_package(project: Project) -> None:
    project.write("src/pkg/__init__.py")
    project.write("src/pkg/sub/__init__.py", "from . import near")
    project.write("src/pkg/sub/near.py")
    project.write("src/pkg/sub/train.py", "from ..util import x\ndef train(): return x")
    project.write("src/pkg/util.py", "x = 1")
    sys.path.insert(0, str(project.root / "src"))  # the fixture restores it
    files = named(project.function(project.load("pkg.sub.train").train))
    assert set(files) == {
        *("pkg/__init__.py", "pkg/sub/__init__.py", "pkg/sub/near.py", "pkg/sub/train.py"),
        *("pkg/util.py", "pickled_fn.p"),
    }


def test_a_module_from_a_folder_below_the_root_lands_where_it_is_found(project: Project) -> None:
    project.write("train.py", "import tool\ndef train(): return tool.x")
    project.write("lib/tool.py", "x = 1")
    sys.path.insert(0, str(project.root / "lib"))
    assert "tool.py" in named(project.function(project.load("train").train))


def test_a_module_outside_the_root_is_warned_about(
    project: Project, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "faraway.py").write_text("x = 1")
    project.write("train.py", "import faraway\ndef train(): return faraway.x")
    sys.path.insert(0, str(tmp_path / "other"))
    try:
        with caplog.at_level(logging.WARNING):
            files = named(project.function(project.load("train").train))
    finally:
        sys.modules.pop("faraway", None)
    assert set(files) == {"train.py", "pickled_fn.p"}
    assert "module faraway" in caplog.text
    assert "the image must have it" in caplog.text


def test_installed_modules_do_not_travel(project: Project) -> None:
    project.write("env/site-packages/installed.py", "def f(): pass")
    project.write("train.py", "import json, installed\ndef train(): return installed.f, json.dumps")
    sys.path.insert(0, str(project.root / "env" / "site-packages"))
    assert set(named(project.function(project.load("train").train))) == {"train.py", "pickled_fn.p"}


def test_cloudpickles_registry_is_left_as_it_was(project: Project) -> None:
    project.write("train.py", "def train(): pass")
    module = project.load("train")
    before = cloudpickle.list_registry_pickle_by_value()
    project.function(module.train)
    assert cloudpickle.list_registry_pickle_by_value() == before

    cloudpickle.register_pickle_by_value(module)
    try:
        project.function(module.train)
        assert "train" in cloudpickle.list_registry_pickle_by_value()
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def test_two_threads_may_package_at_once(project: Project) -> None:
    project.write("train.py", "def train(x): return x\ndef other(x): return x")
    module = project.load("train")
    found = []

    def package(function: Any) -> None:
        found.append(opened(project.function(function, 1))[0])

    threads = [
        threading.Thread(target=package, args=(function,))
        for function in (module.train, module.other) * 8
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert not {module.train, module.other} & set(found)  # all by value


@pytest.mark.parametrize("name", ["train", "Trainer", "trainer"])
def test_what_the_functions_own_module_defines_travels_by_value(
    project: Project, name: str
) -> None:
    project.write(
        "train.py",
        """
        def helper(): return 1
        def train(): return helper()
        class Trainer:
            def train(self): return helper()
        trainer = Trainer()
        """,
    )
    project.load("train")
    context = project.function(getattr(sys.modules["train"], name))
    del sys.modules["train"]
    function, _, _ = opened(context)
    assert "train" not in sys.modules
    made = function() if isinstance(function, type) else function
    assert getattr(made, "train", made)() == 1


def test_code_that_travels_by_value_names_its_file_from_the_root(project: Project) -> None:
    # Guards what pickling.py knows of cloudpickle's insides.
    project.write(
        "train.py",
        """
        def train():
            def inner():
                return lambda: __file__
            return inner()
        """,
    )
    function, _, _ = opened(project.function(project.load("train").train))
    inner = function()
    assert {function.__code__.co_filename, inner.__code__.co_filename} == {"train.py"}
    assert function.__globals__["__file__"] == str(Path("train.py").absolute())


def test_the_pickle_holds_no_path_of_this_machine(project: Project) -> None:
    project.write("helper.py", "def wrap(f):\n    return lambda *a: f(*a)\n")
    project.write("pkg/__init__.py", "import helper\n@helper.wrap\ndef train(): return __path__")
    context = project.function(project.load("pkg").train)
    assert str(project.root).encode() not in content(named(context)["pickled_fn.p"])


# --- it runs as when called directly --------------------------------------------------------------


PROGRAMS = {
    "helper": ("def helper(x): return x + 1\ndef train(x): return helper(x)", "train", "(1,)", 2),
    "closure": ("def make(n):\n    return lambda x: x * n", "make(3)", "(2,)", 6),
    "partial": (
        "import functools\ndef f(*a): return [*a]",
        "functools.partial(f, 1)",
        "(2,)",
        [1, 2],
    ),
    "method": ("class C:\n    n = 2\n    def m(self, x): return self.n * x", "C().m", "(3,)", 6),
    "callable": ("class C:\n    def __call__(self, x): return x", "C()", "(3,)", 3),
    "class": ("class C:\n    def train(self, x): return x", "C", "(3,)", 3),
    "instance": ("class C:\n    def train(self, x): return x", "C()", "(3,)", 3),
    "coroutine": ("async def train(x): return x", "train", "(3,)", 3),
    "classmethod": (
        "class C:\n    @classmethod\n    def m(cls): return cls.__name__",
        "C.m",
        "()",
        "C",
    ),
    "decorated": (
        """
        import functools
        def d(f):
            @functools.wraps(f)
            def g(*a): return [f(*a)]
            return g
        @d
        @d
        def train(x): return x
        """,
        "train",
        "(1,)",
        [[1]],
    ),
    "cached": (
        """
        import functools
        @functools.lru_cache(maxsize=None)
        def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
        """,
        "fib",
        "(30,)",
        832040,
    ),
    "cached property": (
        """
        import functools
        class C:
            @functools.cached_property
            def x(self): return 5
        def train(c): return c.x + c.x
        """,
        "train",
        "(C(),)",
        10,
    ),
    "type hints": (
        """
        import dataclasses, typing
        @dataclasses.dataclass
        class A:
            b: "B"
        class B: pass
        def train(): return typing.get_type_hints(A)["b"] is B
        """,
        "train",
        "()",
        True,
    ),
    "type hints that are texts": (
        """
        from __future__ import annotations
        import dataclasses, datetime as dt, typing
        from typing import Optional
        @dataclasses.dataclass
        class A:
            b: list[B]
            c: Both
            up: Optional[A] = None
        @dataclasses.dataclass
        class B:
            when: dt.date
        Both = Optional[B]
        def train(a: Optional[A] = None):
            found = typing.get_type_hints(A)
            assert found == {"b": list[B], "c": Both, "up": Optional[A]}
            assert typing.get_type_hints(B) == {"when": dt.date}
            return typing.get_type_hints(train) == {"a": Optional[A]}
        """,
        "train",
        "()",
        True,
    ),
    "type hints that name what can not travel": (
        """
        from __future__ import annotations
        import hypothesis, threading
        class Locked:
            lock = threading.Lock()
        class Theirs(hypothesis.Phase.__class__):
            pass
        def train(a: Locked = None, b: Theirs = None, c: hypothesis.Phase = None): return 1
        """,
        "train",
        "()",
        1,
    ),
    "enumeration": (
        """
        import dataclasses, enum
        class E(enum.Enum):
            A = 1
        @dataclasses.dataclass
        class D:
            e: E
        def train(d): return d.e is E.A
        """,
        "train",
        "(D(E.A),)",
        True,
    ),
    "globals": (
        """
        n = 0
        def inc():
            global n
            n += 1
        def train():
            inc(); inc()
            import __main__
            return [n, __main__.n]
        """,
        "train",
        "()",
        [2, 2],
    ),
    "fairing": (
        """
        import fairing_core as fairing
        job = fairing.TrainJob(len)
        def train(): return [bool(job), isinstance(job, fairing.TrainJob)]
        """,
        "train",
        "()",
        [False, False],
    ),
}


@pytest.mark.parametrize(
    ("program", "function", "args", "expected"), PROGRAMS.values(), ids=PROGRAMS
)
def test_a_programs_function_runs_as_when_called_directly(
    project: Project,
    container: Container,
    program: str,
    function: str,
    args: str,
    expected: Any,
) -> None:
    ran = container.run(project.main(program, function, args))
    assert ran.value == expected
    assert ran.code == 0


@pytest.mark.parametrize("use", ["environ", "holder[0]", "given"])
def test_the_environment_is_the_runs_and_this_machines_stays_here(
    project: Project, container: Container, use: str
) -> None:
    program = f"""
        from os import environ, environb
        holder = [environ]
        def train(given):
            return [{use}.get("SECRET"), {use}.get("GIVEN"), environb[b"GIVEN"] == b"1"]
    """
    context = project.main(program, args="(environ,)", SECRET="hunter2")
    assert not any(b"hunter2" in content(file) for file in context.files)
    assert container.run(context, GIVEN="1").value == [None, "1", True]


PICKLES = """
    import multiprocessing
    import pickle

    FACTOR = 3

    class Model:
        class Part:
            pass

    def work(x):
        return x * FACTOR

    def train(model):
        assert type(pickle.loads(pickle.dumps(model))) is type(model)
        assert pickle.loads(pickle.dumps(Model())).__class__ is Model
        assert pickle.loads(pickle.dumps(Model.Part())).__class__ is Model.Part
        with multiprocessing.get_context("{method}").Pool(1) as pool:
            return pool.map(work, [1, 2])
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_programs_classes_and_functions_are_found_by_pickle_in_the_run(
    project: Project, container: Container, method: str
) -> None:
    ran = container.run(project.main(PICKLES.format(method=method), args="(Model(),)"))
    assert ran.value == [3, 6]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_modules_classes_and_functions_are_found_by_pickle_in_the_run(
    project: Project, container: Container, method: str
) -> None:
    project.write("train.py", PICKLES.format(method=method))
    module = project.load("train")
    assert container.run(project.function(module.train, module.Model())).value == [3, 6]


def test_a_module_that_imports_the_functions_own_finds_it_in_the_run(
    project: Project, container: Container
) -> None:
    project.write(
        "helper.py", "def f():\n    import train\n    return [train.X, train.used, train.Y]"
    )
    project.write(
        "train.py", "import helper\nX = 1\nY = 2\nused = 3\ndef train(): return helper.f() + [used]"
    )
    module = project.load("train")
    vars(module)["used"] = 4
    assert container.run(project.function(module.train)).value == [1, 4, 2, 4]


def test_a_traceback_shows_the_users_lines(project: Project, container: Container) -> None:
    project.write("helper.py", "def check(x):\n    raise ValueError(x)  # the helper's line\n")
    program = "import helper\ndef train(x):\n    helper.check(x)  # the program's line\n"
    ran = container.run(project.main(program, args="(1,)"))
    assert ran.code == 1
    assert ran.record is not None
    raised = ran.record["raised"]
    assert (raised["type"], raised["message"]) == ("ValueError", "1")
    lines = raised["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == '  File "train.py", line 3, in train'
    assert lines[2] == "    helper.check(x)  # the program's line"
    assert "    raise ValueError(x)  # the helper's line" in lines
    assert ran.err == raised["traceback"]


def test_a_program_of_a_package_runs(project: Project, container: Container) -> None:
    project.write("pkg/__init__.py")
    project.write("pkg/util.py", "x = 7")
    project.write("pkg/train.py", "from .util import x\ndef train():\n    from . import util\n"
                  "    return [x, util.x, __name__]")  # fmt: skip
    context = project.function(project.load("pkg.train").train)
    assert container.run(context).value == [7, 7, "pkg.train"]


def test_an_interactive_function_runs(project: Project, container: Container) -> None:
    project.write("helper.py", "x = 7")
    space: dict[str, Any] = {"__name__": "__main__"}
    source = "def train():\n    import helper\n    return [helper.x, open('a.txt').read()]"
    exec(compile(source, "<ipython-input-1>", "exec"), space)
    project.write("a.txt", "text")
    context = project.function(space["train"], input_files=["a.txt"])
    assert container.run(context).value == [7, "text"]


def test_a_value_of_the_programs_own_class_comes_back(
    project: Project, container: Container
) -> None:
    program = "class Model:\n    weight = 5\ndef train(): return Model()\n"
    ran = container.run(project.main(program))
    assert ran.record is not None
    assert ran.record["type"] == "__main__.Model"

    assert pickle.loads(base64.b64decode(ran.record["pickled"])).weight == 5


def test_a_value_of_a_modules_own_class_is_of_that_class_here(
    project: Project, container: Container
) -> None:
    project.write("train.py", "class Model: pass\ndef train(): return Model()")
    module = project.load("train")
    ran = container.run(project.function(module.train))
    assert ran.record is not None

    assert isinstance(pickle.loads(base64.b64decode(ran.record["pickled"])), module.Model)


def test_a_plugin_that_the_program_imports_is_answered(
    project: Project, container: Container
) -> None:
    project.install_plugin("fairing_lab")
    project.write("train.py", "try:\n    from fairing_lab.backend import Lab\nexcept ImportError:\n"
                  "    Lab = None\ndef train(): return 1")  # fmt: skip
    context = project.function(project.load("train").train)
    assert "/app/fairing_lab/__init__.py" in {file.destination for file in context.files}
    assert container.run(context).value == 1


def test_a_plugin_that_nothing_imports_is_not_answered(project: Project) -> None:
    project.install_plugin("fairing_lab")
    project.write("train.py", "# about fairing_lab\ndef train(): return 1")
    context = project.function(project.load("train").train)
    assert not [f for f in context.files if "fairing_lab" in f.destination]


def test_a_plugin_beside_the_program_travels_itself(project: Project) -> None:
    project.install_plugin("lab")
    project.write("lab/__init__.py", "x = 1")
    project.write("train.py", "import lab\ndef train(): return lab.x")
    files = named(project.function(project.load("train").train))
    assert content(files["lab/__init__.py"]) == b"x = 1"


def test_fairings_own_objects_are_inert_in_the_pickle(project: Project) -> None:
    patch = fairing_core.PodPatch({"a": 1})
    function, args, _ = opened(project.function(functools.partial(max, 1), patch))
    assert function.func is max
    assert args[0] is fairing_core.PodPatch  # in the image, what the answers give for that name
