"""Plugins of strangers, installed as users do it: each fault has its error, and harms no one.

The faulty plugin is always `lab` of the distribution fairing-lab.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.packaging.world import Environment, Environments, Wheels

HEALTHY = """
from fairing_core import LocalBackend, hookimpl

FAIRING_PLUGIN_API = 0

class {title}(LocalBackend):
    name = "{name}"

@hookimpl
def fairing_register_backends():
    return {{"{name}": {title}}}
"""
LAB = HEALTHY.format(name="lab", title="Lab")
WELL = HEALTHY.format(name="well", title="Well")

AMBIENT = """
from fairing_core import PodPatch, hookimpl

FAIRING_PLUGIN_API = 0

@hookimpl
def fairing_pod_patches(backend, stage, image):
    return [PodPatch(container={"env": [{"name": "FROM_LAB", "value": f"{backend} {stage}"}]})]
"""

SUBMIT = """
from fairing_core import TrainJob
print(TrainJob(len, args=("abc",), backend={backend!r}).submit().result(timeout=60))
"""


@dataclass(frozen=True)
class Fault:
    source: str
    error: str
    says: str


FAULTS = {
    "broken import": Fault("import no_such_sdk", "PluginLoadError", "no_such_sdk"),
    "syntax error": Fault("def fairing_(:", "PluginLoadError", "SyntaxError"),
    "exit at import": Fault("import sys; sys.exit('bye')", "PluginLoadError", "SystemExit: bye"),
    "misspelt hook": Fault(
        LAB.replace("def fairing_register_backends", "def fairing_register_backend"),
        "PluginLoadError",
        "no hook is called fairing_register_backend; did you mean 'fairing_register_backends'?",
    ),
    "hook without its decorator": Fault(
        LAB.replace("@hookimpl", ""),
        "PluginLoadError",
        "fairing_register_backends lacks the decorator @hookimpl",
    ),
    "unknown parameter of a hook": Fault(
        LAB.replace("def fairing_register_backends()", "def fairing_register_backends(cloud)"),
        "PluginLoadError",
        "cloud",
    ),
    "other API number": Fault(
        LAB.replace("API = 0", "API = 99"), "IncompatiblePlugin", "is for plugin API 99"
    ),
    "no API number": Fault(
        LAB.replace("FAIRING_PLUGIN_API = 0", ""), "IncompatiblePlugin", "no FAIRING_PLUGIN_API"
    ),
    "hook that gives no mapping": Fault(
        LAB.replace('{"lab": Lab}', "[Lab]"), "PluginLoadError", "gave a list, not a mapping"
    ),
    "hook that gives no backend": Fault(
        LAB.replace('{"lab": Lab}', '{"lab": dict}'), "PluginLoadError", "BackendInterface"
    ),
    "hook that gives an object": Fault(
        LAB.replace('{"lab": Lab}', '{"lab": Lab()}'), "PluginLoadError", "BackendInterface"
    ),
    "hook that raises": Fault(
        LAB.replace("return {", "raise RuntimeError('no luck')\n    return {"),
        "PluginLoadError",
        "RuntimeError: no luck",
    ),
    "other name than its entry point": Fault(
        LAB.replace('"lab"', '"labb"'), "PluginLoadError", "did you mean 'labb'?"
    ),
}


@pytest.fixture(params=list(FAULTS))
def fault(request: pytest.FixtureRequest) -> Fault:
    return FAULTS[request.param]


@pytest.fixture
def faulty(fault: Fault, wheels: Wheels, environments: Environments) -> Environment:
    """A clean environment with core, the faulty `lab`, and the healthy `well`."""
    well = wheels.plugin(WELL, distribution="fairing-well", entry="well")
    return environments.having(wheels.ours("fairing-core"), wheels.plugin(fault.source), well)


def submit(environment: Environment, backend: str, **environ: str) -> CompletedProcess[str]:
    return environment.python(SUBMIT.format(backend=backend), **environ)


def raised(done: CompletedProcess[str]) -> tuple[str, str]:
    """The class of the exception that ended a program, and its message."""
    found = re.search(
        r"^fairing_core\.errors\.(\w+): (.*)\Z", done.stderr, re.DOTALL | re.MULTILINE
    )
    assert found, done
    return found[1], found[2]


def rows(done: CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """What ``--json`` lists, by distribution and name."""
    return {f"{row['distribution']} {row['name']}": row for row in json.loads(done.stdout)}


# --- backends -------------------------------------------------------------------------------------


def test_a_healthy_third_party_backend_runs(wheels: Wheels, environments: Environments) -> None:
    environment = environments.having(wheels.ours("fairing-core"), wheels.plugin(LAB))
    done = submit(environment, "lab")
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_each_fault_has_its_error(fault: Fault, faulty: Environment) -> None:
    error, message = raised(submit(faulty, "lab"))
    assert error == fault.error
    assert fault.says in message
    assert "fairing-lab" in message
    assert re.search(r"pip (install|uninstall)", message)  # the next step


@pytest.mark.parametrize("other", ["local", "well"])
def test_no_fault_harms_another_backend(faulty: Environment, other: str) -> None:
    done = submit(faulty, other)
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_a_faulty_plugin_is_listed_without_being_imported(faulty: Environment) -> None:
    done = faulty.fairing("plugins", "--json")
    assert done.returncode == 0, done.stderr
    assert {row["state"] for row in rows(done).values()} == {"installed"}
    assert set(rows(done)) == {"fairing-lab lab", "fairing-well well"}


def test_check_says_which_fails_and_why(fault: Fault, faulty: Environment) -> None:
    done = faulty.fairing("plugins", "--check", "--json")
    assert done.returncode == 85, done
    lab, well = rows(done)["fairing-lab lab"], rows(done)["fairing-well well"]
    assert (lab["state"], lab["type"]) == ("failed", fault.error)
    assert fault.says in lab["error"]
    assert fault.says in done.stderr
    assert well["state"] == "ok"


def test_an_unknown_backend_names_the_near_one(wheels: Wheels, environments: Environments) -> None:
    environment = environments.having(wheels.ours("fairing-core"), wheels.plugin(LAB))
    error, message = raised(submit(environment, "labb"))
    assert error == "UnknownBackend"
    assert "did you mean 'lab'?" in message
    assert "kubernetes, lab, local" in message


@pytest.mark.parametrize("cloud", ["aws", "gcp", "onprem"])
def test_a_known_backend_that_is_not_installed_names_its_distribution(
    cloud: str, wheels: Wheels, environments: Environments
) -> None:
    error, message = raised(submit(environments.having(wheels.ours("fairing-core")), cloud))
    assert error == "UnknownBackend"
    assert f"pip install fairing-{cloud}" in message


# --- one name, two distributions ------------------------------------------------------------------


@pytest.fixture
def twice(wheels: Wheels, environments: Environments) -> Environment:
    rival = wheels.plugin(LAB, distribution="fairing-rival")
    return environments.having(wheels.ours("fairing-core"), wheels.plugin(LAB), rival)


def test_a_name_of_two_distributions_is_refused_by_both_names(twice: Environment) -> None:
    error, message = raised(submit(twice, "lab"))
    assert error == "DuplicateName"
    assert "fairing-lab" in message
    assert "fairing-rival" in message


def test_a_name_of_two_distributions_harms_no_other(twice: Environment) -> None:
    done = submit(twice, "local")
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_blocking_one_of_two_leaves_the_other(twice: Environment) -> None:
    done = submit(twice, "lab", FAIRING_DISABLE_PLUGINS="fairing-rival")
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_check_names_both_that_offer_one_name(twice: Environment) -> None:
    done = twice.fairing("plugins", "--check", "--json")
    assert done.returncode == 85
    assert [row["type"] for row in rows(done).values()] == ["DuplicateName"] * 2


def test_a_plugin_can_not_take_a_name_of_core(wheels: Wheels, environments: Environments) -> None:
    thief = wheels.plugin(LAB.replace('"lab"', '"local"'), entry="local")
    error, message = raised(
        submit(environments.having(wheels.ours("fairing-core"), thief), "local")
    )
    assert error == "DuplicateName"
    assert "fairing-core" in message
    assert "fairing-lab" in message


# --- slow -----------------------------------------------------------------------------------------


def test_a_slow_plugin_is_named_when_it_is_used(wheels: Wheels, environments: Environments) -> None:
    slow = wheels.plugin("import time; time.sleep(1.2)\n" + LAB)
    environment = environments.having(wheels.ours("fairing-core"), slow)
    used, unused = submit(environment, "lab"), submit(environment, "local")
    assert (used.stdout, unused.stdout) == ("3\n", "3\n")
    assert re.search(r"'lab' of fairing-lab 1\.0 took 1\.\d s to import", used.stderr)
    assert unused.stderr == ""


def test_check_gives_up_on_a_plugin_that_hangs(wheels: Wheels, environments: Environments) -> None:
    hung = wheels.plugin("import time; time.sleep(1000)\n" + LAB)
    done = environments.having(wheels.ours("fairing-core"), hung).fairing(
        "plugins", "--check", "--timeout", "3", "--json"
    )
    assert done.returncode == 85
    assert "did not load within 3 s" in rows(done)["fairing-lab lab"]["error"]


# --- ambient plugins ------------------------------------------------------------------------------


def ambient(source: str, wheels: Wheels, environments: Environments) -> Environment:
    plugin = wheels.plugin(source, group="fairing.plugins")
    return environments.having(wheels.ours("fairing-core"), plugin).without_runs()


def test_an_ambient_patch_reaches_every_run(wheels: Wheels, environments: Environments) -> None:
    environment = ambient(AMBIENT, wheels, environments)
    code = """
        from fairing_core import TrainJob
        def variable():
            import os
            return os.environ.get("FROM_LAB")
        print(TrainJob(variable, backend="local").submit().result(timeout=60))
    """
    assert environment.python(code).stdout == "local train\n"
    for words in ("lab", "fairing-lab", "*"):
        assert environment.python(code, FAIRING_DISABLE_PLUGINS=words).stdout == "None\n"


@pytest.mark.parametrize(
    "fault", [FAULTS["broken import"], FAULTS["exit at import"], FAULTS["other API number"]]
)
def test_an_ambient_plugin_that_does_not_load_is_named_and_left_out(
    fault: Fault, wheels: Wheels, environments: Environments
) -> None:
    done = submit(ambient(fault.source, wheels, environments), "local")
    assert done.stdout == "3\n"
    assert fault.says in done.stderr
    assert "fairing-lab" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("exception", ["RuntimeError('no luck')", "SystemExit(3)"])
def test_an_event_sink_that_raises_harms_nobody(
    exception: str, wheels: Wheels, environments: Environments
) -> None:
    sink = f"""
from fairing_core import hookimpl

FAIRING_PLUGIN_API = 0

@hookimpl
def fairing_event(event):
    raise {exception}
"""
    done = submit(ambient(sink, wheels, environments), "local")
    assert done.stdout == "3\n"
    assert done.stderr.count("fairing-lab") == 1  # told once, then asked no more
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("exit(3)", "SystemExit: 3"),
        ("return {'env': []}", "PodPatch"),
        ("return 7", "TypeError"),
    ],
)
def test_a_pod_patch_that_fails_stops_the_run_by_name(
    answer: str, says: str, wheels: Wheels, environments: Environments
) -> None:
    patch = AMBIENT.replace("return [", f"{answer}\n    return [")
    environment = ambient(patch, wheels, environments)
    error, message = raised(submit(environment, "local"))
    assert error == "PluginFailed"
    assert says in message
    assert "'lab' of fairing-lab 1.0" in message
    assert json.loads(environment.fairing("ps", "--json").stdout) == []


def test_blocked_plugins_are_listed_as_blocked(wheels: Wheels, environments: Environments) -> None:
    environment = ambient(AMBIENT, wheels, environments)
    done = environment.fairing("plugins", "--check", "--json", FAIRING_DISABLE_PLUGINS="*")
    assert done.returncode == 0
    assert rows(done)["fairing-lab lab"]["state"] == "blocked"


def test_a_blocked_backend_says_so(wheels: Wheels, environments: Environments) -> None:
    environment = environments.having(wheels.ours("fairing-core"), wheels.plugin(LAB))
    error, message = raised(submit(environment, "lab", FAIRING_DISABLE_PLUGINS="lab"))
    assert error == "UnknownBackend"
    assert "FAIRING_DISABLE_PLUGINS blocks 'lab' of fairing-lab" in message


# --- the sample -----------------------------------------------------------------------------------


def test_the_sample_backend_passes_the_conformance_kit(
    wheels: Wheels, environments: Environments, tmp_path: Path
) -> None:
    from tests.packaging.world import PROJECTS

    project = PROJECTS["fairing-scratch"]
    modules = [path for path in project.glob("*.py") if not path.name.startswith("test_")]
    assert sum(len(path.read_text().splitlines()) for path in modules) <= 35

    environment = environments.having(
        wheels.ours("fairing-core"), wheels.ours("fairing-scratch"), "pytest"
    )
    test = tmp_path / "test_scratch.py"
    test.write_text((project / "test_scratch.py").read_text())
    done = environment.run("pytest", "--quiet", "-p", "no:cacheprovider", str(test))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)
