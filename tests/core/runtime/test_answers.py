from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import subprocess
import sys
from typing import Any

import pytest

import fairing_core
from fairing_core import errors
from fairing_core.runtime import answers
from tests.core.preprocess.harness import Container, Project, Ran

# --- one by one -----------------------------------------------------------------------------------


def test_every_real_error_is_answered_with_its_bases() -> None:
    real = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.FairingError)
    }
    assert set(answers._ERRORS) == set(real) - {"FairingError"}
    for name, value in real.items():
        answer = getattr(answers, name)
        assert [base.__name__ for base in answer.__mro__] == [
            base.__name__ for base in value.__mro__
        ]


def test_every_public_name_is_answered() -> None:
    assert set(answers.__all__) == set(fairing_core.__all__)
    for name in fairing_core.__all__:
        assert getattr(answers, name) is not None


def test_every_role_that_users_derive_from_is_a_class() -> None:
    from fairing_core import interfaces

    roles = {
        name
        for name, value in vars(interfaces).items()
        if inspect.isclass(value) and value.__module__ == interfaces.__name__
    }
    assert roles == answers._CLASSES


@pytest.mark.parametrize("name", ["NewError", "JobFailed", "SlowTimeout", "BucketNotFound"])
def test_a_name_that_says_error_is_an_exception(name: str) -> None:
    assert issubclass(getattr(answers, name), answers.FairingError)


def test_an_error_takes_any_fields() -> None:
    error = answers.RunFailed("no", uri="fairing://x", returncode=3)
    assert (str(error), error.uri, error.returncode) == ("no", "fairing://x", 3)
    assert str(answers.StateError("full")) == "full"
    assert str(answers.PluginLoadError("x", distribution="y")) == "x"


def test_the_configuration_does_nothing() -> None:
    config = answers.config

    def f() -> int:
        return 1

    assert config.fn(f) is f
    for name in ("reset", "set_preprocessor", "set_builder", "set_deployer"):
        assert getattr(config, name)() is None
    assert [bool(part) for part in config.run()] == [False, False, False]
    assert not config.run().handle.result()
    assert config.run().builder is not None
    assert config.set_builder("append", registry="r", base_image="b") is None
    assert not config.get_preprocessor().whatever


def test_hookimpl_marks_nothing() -> None:
    def hook() -> None: ...

    assert answers.hookimpl(hook) is hook
    assert answers.hookimpl(tryfirst=True)(hook) is hook


def test_a_job_is_inert() -> None:
    job = answers.TrainJob(len, input_files=["a"])
    handle = job.submit()
    assert job is handle is handle.wait(timeout=3) is job["x"] is job.a.b.c
    assert not job
    assert list(job) == []
    assert len(job) == 0
    assert "x" not in job
    with job as entered:
        assert entered is job
    job["x"] = 1
    del job["x"]


def test_an_inert_object_says_what_it_is() -> None:
    job = answers.TrainJob(len)
    assert repr(job) == "<fairing_core.runtime.answers.TrainJob: inert inside a run>"
    assert f"{job:>3.2f} {job}" == f"{job!r} {job!r}"


def test_an_inert_object_counts_as_nothing() -> None:
    result = answers.TrainJob(len).submit().result()
    assert (int(result), float(result), list(range(result))) == (0, 0.0, [])
    assert result * 100 + 1 is result
    assert 1 - result is -result is round(result, 2) is result
    assert not result > 1
    assert not result <= 1
    assert f"{100:.1f} %.2f" % result == "100.0 0.00"


def test_an_inert_object_can_be_awaited() -> None:
    import asyncio

    run = answers.TrainJob(len).submit()

    async def both() -> list[object]:
        return [await run, *await asyncio.gather(run, asyncio.sleep(0, 3))]

    assert asyncio.run(both()) == [run, run, 3]


def test_an_inert_object_has_no_special_attributes() -> None:
    job = answers.TrainJob(len)
    for name in ("__array__", "_repr_html_", "__wrapped__"):
        assert not hasattr(job, name)


def test_an_inert_object_copies_and_pickles() -> None:
    job = answers.TrainJob(len)
    for again in (copy.deepcopy(job), pickle.loads(pickle.dumps(job))):
        assert repr(again) == repr(job)


def test_nothing_is_an_instance_of_an_inert_object() -> None:
    inert: Any = answers.TrainJob
    assert not isinstance(1, inert)
    assert not issubclass(int, inert)


def test_roles_can_be_derived_from() -> None:
    class Lab(answers.BackendInterface):  # type: ignore[misc]
        def __init__(self, *, pool: str) -> None:
            super().__init__(pool)
            self.pool = pool

    lab = Lab(pool="gpu")
    assert lab.pool == "gpu"
    assert isinstance(lab, answers.BackendInterface)
    assert not lab.storage()
    assert not isinstance(lab, answers.Builder)


def test_any_name_can_be_derived_from() -> None:
    one: Any = answers.SomeMixin
    two: Any = answers.OtherMixin

    class A(one, two):  # type: ignore[misc]
        pass

    class B(one, answers.BackendInterface, two):  # type: ignore[misc]
        pass

    class C(one, dict):  # type: ignore[misc, type-arg]
        pass

    assert not A().anything
    assert not B().anything
    assert C(a=1) == {"a": 1}


def test_a_name_with_underscores_is_not_answered() -> None:
    for name in ("__path__", "__wrapped__", "_private"):
        assert not hasattr(answers, name)


def test_importing_it_as_a_part_of_fairing_installs_nothing() -> None:
    before = list(sys.meta_path)
    importlib.reload(answers)
    assert sys.meta_path == before


# --- in an image ----------------------------------------------------------------------------------


def run(project: Project, container: Container, program: str, **options: Any) -> Ran:
    project.write("train.py", program)
    return container.run(project.script(**options))


@pytest.mark.parametrize(
    "statement",
    [
        "import fairing_core as fairing; fairing.config.set_builder('x'); fairing.config.run()",
        "from fairing_core import TrainJob, k8s_utils; TrainJob(len).submit()",
        "from fairing_core import k8s_utils; k8s_utils.get_resource_mutator(cpu=1, memory=2)",
        "from fairing_core.k8s_utils import mounting_pvc; mounting_pvc(pvc_name='x')",
        "import fairing_core.k8s_utils as k; k.volume_mounts()",
        "import fairing_core.a.b.c; fairing_core.a.b.c.d()",
        "from fairing_core.config import fn; assert fn(len) is len",
        "import fairing_core.config as c, fairing_core; assert fairing_core.config is c",
        "from fairing_core import config; assert config.fn(len) is len; import fairing_core.config",
        "from fairing_core import *; TrainJob(len); a, b, deployer = config.run(); deployer.go()",
        "import fairing_core; assert isinstance(fairing_core.__version__, str)",
        "from fairing_core.types import PodPatch; PodPatch({'a': 1})",
        "import importlib; importlib.import_module('fairing_core.legacy.backends').X()",
    ],
)
def test_an_import_of_fairing_is_answered(
    project: Project, container: Container, statement: str
) -> None:
    ran = run(project, container, f"{statement}\nprint('ran')")
    assert (ran.code, ran.out, ran.err) == (0, "ran\n", "")


def test_errors_can_be_caught(project: Project, container: Container) -> None:
    program = """
        import fairing_core as fairing
        from fairing_core.errors import InputError, MissingInput
        assert fairing.errors.InputError is InputError is fairing.InputError
        try:
            raise MissingInput("x")
        except fairing.FairingError as exc:
            print(type(exc).__name__, isinstance(exc, FileNotFoundError))
        try:
            1 / 0
        except (fairing.errors.RunFailed, fairing.plugins.SomeError):
            pass
        except ZeroDivisionError:
            print("another")
    """
    ran = run(project, container, program)
    assert ran.out == "MissingInput True\nanother\n", ran.err


def test_other_imports_are_none_of_ours(project: Project, container: Container) -> None:
    ran = run(project, container, "import fairing_core\nimport fairing_corelike")
    assert ran.code == 1
    assert "No module named 'fairing_corelike'" in ran.err


def test_it_loads_next_to_nothing(project: Project, container: Container) -> None:
    ran = run(
        project,
        container,
        """
        import sys
        before = set(sys.modules)
        import fairing_core
        print(*sorted(set(sys.modules) - before))
        """,
    )
    loaded = set(ran.out.split())
    assert "fairing_core" in loaded
    assert not loaded & {"typing", "re", "inspect", "asyncio", "pickle", "importlib.util"}


LAB = "from fairing_lab.backend import Lab\nimport fairing_lab\nprint(repr(Lab(pool=1)))\n"


def test_a_plugin_that_the_image_lacks_is_answered(project: Project, container: Container) -> None:
    project.install_plugin("fairing_lab")
    ran = run(project, container, LAB)
    assert ran.out == "<fairing_lab.backend.Lab: inert inside a run>\n", ran.err


def test_a_plugin_that_the_image_has_is_loaded(project: Project, container: Container) -> None:
    project.install_plugin("fairing_lab")
    project.write("train.py", LAB)
    context = project.script()
    image = Project(container.folder / "site")
    image.write("fairing_lab/__init__.py", "from fairing_core import hookimpl")
    image.write(
        "fairing_lab/backend.py",
        "from fairing_core import BackendInterface\nclass Lab(BackendInterface):\n"
        "    def __repr__(self): return 'the real one'\n",
    )
    ran = container.run(context, PYTHONPATH=str(image.root))
    assert ran.out == "the real one\n", ran.err


def test_a_folder_of_the_plugins_name_is_not_the_plugin(
    project: Project, container: Container
) -> None:
    project.install_plugin("fairing_lab")
    project.write("train.py", LAB)
    context = project.script()
    (container.folder / "site" / "fairing_lab").mkdir(parents=True)
    ran = container.run(context, PYTHONPATH=str(container.folder / "site"))
    assert "inert inside a run" in ran.out, ran.err


def test_a_plugin_imported_by_an_input_is_answered(project: Project, container: Container) -> None:
    project.install_plugin("fairing_lab")
    project.write("tool.py", "import fairing_lab")
    project.write("train.py", "import runpy; runpy.run_path('tool.py'); print('ran')")
    ran = container.run(project.script(input_files=["tool.py"]))
    assert ran.out == "ran\n", ran.err


def test_what_travels_runs_without_its_own_site_packages(project: Project) -> None:
    source = inspect.getsource(answers)
    program = project.write("fairing_core/__init__.py", source)
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", "import fairing_core.x.y as y; print(y.z)"],
        cwd=program.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "<fairing_core.x.y.z: inert inside a run>\n", done.stderr
