"""The clauses that every backend keeps, as tests to inherit."""

from __future__ import annotations

import inspect
import json
import pickle
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from fairing_core import errors, get_run, list_runs
from fairing_core.choices import make_backend
from fairing_core.interfaces import BackendInterface, Registry, RunHandle, Storage
from fairing_core.jobs import TrainJob
from fairing_core.plugins import Plugins
from fairing_core.settings import Settings, parameters
from fairing_core.types import Check, PodPatch, RunStatus

_PROBE = """
import json, sys
touched = []
def note(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir"):
        touched.append(event)
from fairing_core.choices import make_backend
from fairing_core.installed import packages
from fairing_core.plugins import Plugins
from fairing_core.settings import Settings
hub = Plugins(ambient=False)
sys.addaudithook(note)
made = make_backend(sys.argv[1], json.loads(sys.argv[2]), Settings(), hub)
own = type(made).__module__.partition(".")[0]
loaded = {name.partition(".")[0] for name in sys.modules}
sdks = {"boto3", "botocore", "docker", "google", "kubernetes"}
print(json.dumps({
    "touched": touched,
    "others": sorted((packages() - {own, "fairing_core"}) & loaded),
    "sdks": sorted(sdks & loaded),
}))
"""


class _Clauses:
    """What a subclass states of itself."""

    backend: ClassVar[str]
    """The backend's name."""

    options: ClassVar[Mapping[str, Any]] = {}
    """Settings to make it with; what JSON can carry."""

    can_run: ClassVar[bool] = True
    """False for a backend that can't run jobs here: then it has to say so."""

    timeout: ClassVar[float] = 60.0
    """Seconds that a run of these tests may take."""

    def make(self, **options: Any) -> BackendInterface:
        """The backend, with its settings."""
        return make_backend(
            self.backend, {**self.options, **options}, Settings(), Plugins(ambient=False)
        )

    def submit(self, entry: Any, **arguments: Any) -> RunHandle:
        """A run on this backend."""
        job = TrainJob(entry, backend=self.backend, backend_options=self.options, **arguments)
        return job.submit()


class _RunClauses(_Clauses):
    """For backends that can run."""

    def test_a_function_gives_back_what_it_returned(self) -> None:
        def add(left: int, *, right: int) -> dict[str, list[int]]:
            return {"sum": [left + right]}

        run = self.submit(add, args=(1,), kwargs={"right": 2})
        assert run.wait(self.timeout) is RunStatus.SUCCEEDED
        assert run.result() == {"sum": [3]}
        assert run.exception() is None
        run.delete()

    def test_a_value_that_json_lacks_wants_unpickle(self) -> None:
        def pair() -> tuple[int, int]:
            return 1, 2

        run = self.submit(pair)
        run.wait(self.timeout)
        assert isinstance(_raised(run.result), errors.ResultUnavailable)
        assert run.result(unpickle=True) == (1, 2)
        run.delete()

    def test_an_exception_comes_back_with_its_traceback(self) -> None:
        def fail() -> None:
            raise KeyError("no such column")

        run = self.submit(fail)
        assert run.wait(self.timeout) is RunStatus.FAILED
        error = _raised(run.result)
        assert isinstance(error, errors.RunFailed)
        assert (error.type, error.returncode) == ("KeyError", 1)
        assert "no such column" in str(error.text)
        assert "in fail" in str(error.traceback)
        run.delete()

    def test_a_script_gets_its_arguments_and_its_exit_code_comes_back(self) -> None:
        text = "import os, sys\nprint(sys.argv[1:], os.environ['FAIRING_RUNTIME'])\nsys.exit(7)\n"
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, "script.py")
            script.write_text(text, encoding="utf-8")
            run = self.submit(script, args=("--word", "a b $HOME"))
        assert run.wait(self.timeout) is RunStatus.FAILED
        assert "".join(run.logs()) == "['--word', 'a b $HOME'] 1\n"
        assert run.outcome().exit_code == 7
        run.delete()

    def test_logs_are_followed_to_their_end(self) -> None:
        def chat() -> None:
            import time

            for number in range(5):
                print("grüße", number, flush=True)
                time.sleep(0.02)
            print("no newline at the end", end="")

        run = self.submit(chat)
        expected = "".join(f"grüße {number}\n" for number in range(5)) + "no newline at the end"
        assert "".join(run.logs(follow=True)) == expected
        assert run.wait(self.timeout) is RunStatus.SUCCEEDED
        assert "".join(run.logs(tail=2)) == "grüße 4\nno newline at the end"
        run.delete()

    def test_another_process_finds_the_run_by_its_uri(self) -> None:
        run = self.submit(len, args=("four",))
        code = (
            "import sys; from fairing_core import get_run; "
            "print(get_run(sys.argv[1]).result(timeout=60))"
        )
        assert _python(code, str(run)) == "4\n"
        assert run.name in [other.name for other in list_runs(backend=self.make())]
        run.delete()

    def test_a_handle_is_a_uri_and_pickles(self) -> None:
        run = self.submit(len, args=("four",))
        assert str(run) == run.uri
        assert run.uri.startswith(f"fairing://{self.backend}/")
        assert run.name in repr(run)
        assert pickle.loads(pickle.dumps(run)).result(self.timeout) == 4  # noqa: S301 - our own
        run.delete()

    def test_waiting_has_an_end(self) -> None:
        run = self.submit(_sleeper())
        error = _raised(lambda: run.wait(timeout=0.05))
        assert isinstance(error, errors.WaitTimeout)
        assert error.status in (RunStatus.PENDING, RunStatus.RUNNING)
        run.cancel()
        run.delete()

    def test_cancel_ends_the_run_and_twice_is_once(self) -> None:
        run = self.submit(_sleeper())
        run.cancel()
        assert run.wait(self.timeout) is RunStatus.CANCELLED
        run.cancel()
        assert run.status is RunStatus.CANCELLED
        run.delete()

    def test_a_deleted_run_is_gone_and_twice_is_once(self) -> None:
        run = self.submit(len, args=("four",))
        run.wait(self.timeout)
        run.delete()
        run.delete()
        assert isinstance(_raised(lambda: run.status), errors.RunNotFound)
        assert isinstance(_raised(lambda: get_run(run.uri)), errors.RunNotFound)

    def test_a_uri_of_another_uid_is_not_found(self) -> None:
        run = self.submit(len, args=("four",))
        other = run.uri.partition("?")[0] + f"?uid={uuid.uuid4()}"
        assert isinstance(_raised(lambda: get_run(other)), errors.RunNotFound)
        run.wait(self.timeout)
        run.delete()


class BackendConformance(_RunClauses):
    """The clauses of a backend: inherit, name the backend, and run pytest.

    Example:
        >>> class TestLocal(BackendConformance):
        ...     backend = "local"
        >>> TestLocal().test_its_name_finds_it()
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not cls.can_run:
            for clause in vars(_RunClauses):
                if clause.startswith("test_"):
                    setattr(cls, clause, None)  # pytest collects no None

    def test_its_name_finds_it(self) -> None:
        made = self.make()
        assert isinstance(made, BackendInterface)
        assert made.name == self.backend

    def test_making_it_touches_nothing_and_loads_no_sdk(self) -> None:
        seen = json.loads(_python(_PROBE, self.backend, json.dumps(dict(self.options))))
        assert seen == {"touched": [], "others": [], "sdks": []}

    def test_its_settings_are_annotated_keywords_with_defaults(self) -> None:
        made = type(self.make())
        for name, parameter in inspect.signature(made).parameters.items():
            assert parameter.kind is parameter.KEYWORD_ONLY, name
            assert parameter.annotation is not parameter.empty, name
            assert parameter.default is not parameter.empty or name in self.options, name

    def test_an_unknown_setting_is_refused_by_name(self) -> None:
        error = _raised(lambda: self.make(no_such_setting=1))
        assert isinstance(error, errors.UnknownOption)
        assert "no_such_setting" in str(error)

    def test_text_settings_come_from_the_environment(self) -> None:
        made = type(self.make())
        texts = [name for name, hint in parameters(made).items() if hint in (str, str | None)]
        prefix = f"FAIRING_{self.backend.upper().replace('-', '_')}__"
        environ = {prefix + name.upper(): f"value-of-{name}" for name in texts}
        assert Settings(environ=environ).of_backend(self.backend, made) == {
            name: f"value-of-{name}" for name in texts
        }

    def test_secret_settings_stay_out_of_its_repr(self) -> None:
        named = ("password", "token", "secret_key", "access_key")
        secrets = {name: "s3cr3t" for name in parameters(type(self.make())) if name in named}
        assert "s3cr3t" not in repr(self.make(**secrets))

    def test_each_role_is_answered_left_open_or_refused_with_a_reason(self) -> None:
        made = self.make()
        assert _answer(made.storage) is None or isinstance(_answer(made.storage), Storage)
        assert _answer(made.registry) is None or isinstance(_answer(made.registry), Registry)
        assert isinstance(_answer(made.base_image), str | None)
        assert all(isinstance(one, PodPatch) for one in made.pod_patches("train", "image"))
        for check in made.check():
            assert isinstance(check, Check)
            assert check.ok or check.detail, f"{check.name}: what is amiss, and what to do?"

    def test_it_runs_jobs_or_says_that_it_can_not(self) -> None:
        if self.can_run:
            assert self.make().deployer("job") is not None or self.make().needs_image
        else:
            raised = _raised(lambda: self.submit(len, args=("",)))
            assert isinstance(raised, errors.Unsupported | errors.NoCluster)


def _answer(ask: Callable[[], Any]) -> Any:
    """The answer, or None where the backend refuses with a reason."""
    try:
        return ask()
    except errors.Unsupported as error:
        assert len(str(error)) > 20, "a refusal has to say what and why"
        return None


def _raised(act: Callable[[], object]) -> BaseException:
    try:
        act()
    except errors.FairingError as error:
        return error
    raise AssertionError("no FairingError was raised")


def _sleeper() -> Callable[[], None]:
    def sleep() -> None:
        import time

        time.sleep(600)

    return sleep


def _python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
