"""The keeper, as a container's first process would be, but for its number."""

from __future__ import annotations

import hashlib
import http.server
import json
import operator
import os
import pickle
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from fairing_core.cluster import sources
from fairing_core.cluster.lines import END
from fairing_core.runtime import keep

PROGRAM = [sys.executable, "-IS", keep.__file__]


class Container:
    """A place of its own, with the keeper and what it is asked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.room = home / "room"
        self.room.mkdir()
        self.work = home / "work"
        self.work.mkdir()
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, code: str, outputs: Sequence[str] = (), keep: float = 30, **more: str) -> Any:
        command = [sys.executable, "-c", code]
        return self.start_command(command, outputs, keep, **more)

    def start_command(
        self, command: Sequence[str], outputs: Sequence[str] = (), keep: float = 30, **more: str
    ) -> subprocess.Popen[bytes]:
        environment = {"TMPDIR": str(self.room), "FAIRING_KEEP": str(keep),
                       "FAIRING_OUTPUTS": json.dumps(outputs), **more}  # fmt: skip
        self.running.append(
            subprocess.Popen(
                [*PROGRAM, "run", *command],
                cwd=self.work,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        return self.running[-1]

    def ask(self, *words: str) -> bytes:
        environment = {**os.environ, "TMPDIR": str(self.room)}
        return subprocess.run([*PROGRAM, *words], env=environment, cwd="/", timeout=30, check=True,
                              stdout=subprocess.PIPE).stdout  # fmt: skip

    def index(self) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 20
        while not list(self.room.glob(".fairing-keep-*/index.json")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        found: list[dict[str, Any]] = json.loads(self.ask("index"))
        return found


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    container = Container(tmp_path)
    yield container
    for process in container.running:
        process.kill()
        process.communicate()


STARTS = keep.SIGN.encode() + b"the program starts]\n"
WRITE = "open('a.bin', 'wb').write(b'x' * 3_000_000); print('half', end='')"


def test_outputs_are_kept_until_they_are_released(container: Container) -> None:
    run = container.start(f"{WRITE}; raise SystemExit(3)", ["a.bin"])
    (entry,) = container.index()
    content = b"x" * 3_000_000
    assert (entry["path"], entry["size"]) == ("a.bin", len(content))
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert container.ask("send", "0", "0") == content
    assert container.ask("send", "0", "2999990") == content[-10:]
    assert run.poll() is None
    container.ask("release")
    out, err = run.communicate(timeout=20)
    assert run.returncode == 3
    said, mark, told = out.partition(END)
    assert said == STARTS + b"half"
    assert mark
    assert b"with exit code 3; 1 outputs, 3000000 bytes, are kept until " in told
    assert out.count(b"\n") == 2
    assert told.endswith(b"]\n")
    assert err == STARTS + END + told


def test_the_time_is_over_where_nobody_comes(container: Container) -> None:
    run = container.start(WRITE, ["a.bin"], keep=0.2)
    run.communicate(timeout=20)
    assert run.returncode == 0


def test_nothing_is_kept_beyond_the_pods_own_timeout(container: Container) -> None:
    began = time.monotonic()
    run = container.start(WRITE, ["a.bin"], keep=60, FAIRING_TIMEOUT="6")
    run.communicate(timeout=20)
    assert run.returncode == 0
    assert 2 <= time.monotonic() - began < 6


def test_who_waits_already_has_a_chance_however_near_the_timeout_is(container: Container) -> None:
    run = container.start(WRITE, ["a.bin"], keep=60, FAIRING_TIMEOUT="0.1")
    container.index()
    run.communicate(timeout=20)
    assert run.returncode == 0


@pytest.mark.parametrize("outputs", [[], ["gone.bin"], ["*.txt", "empty"]])
def test_with_nothing_to_keep_it_ends_at_once_and_says_what_is_not_there(
    container: Container, outputs: list[str]
) -> None:
    run = container.start("import os; os.mkdir('empty'); print('x')", outputs)
    out, err = run.communicate(timeout=20)
    assert out == STARTS + b"x\n"
    said = [f"fairing: the output {one!r} is left out: there is no such file\n" for one in outputs]
    assert err == STARTS + "".join(said).encode()
    assert run.returncode == 0


def test_what_is_not_there_is_in_the_list_beside_what_is_kept(container: Container) -> None:
    run = container.start(WRITE, ["a.bin", "gone/*.txt"])
    assert [(one["path"], one.get("error")) for one in container.index()] == [
        ("a.bin", None),
        ("gone/*.txt", "there is no such file"),
    ]
    container.ask("release")
    out, err = run.communicate(timeout=20)
    assert b"; 1 outputs, 3000000 bytes, are kept until " in out
    assert b"the output 'gone/*.txt' is left out" in err.partition(END)[0]


def test_a_file_whose_name_is_a_pattern_is_kept(container: Container) -> None:
    container.start("open('model[1].pkl', 'w').write('m')", ["model[1].pkl"])
    assert [entry["path"] for entry in container.index()] == ["model[1].pkl"]


def test_what_an_earlier_container_has_left_in_its_place_is_not_this_ones(
    container: Container,
) -> None:
    # A folder for temporary files may be a volume, which outlives the container.
    for name in ("first", "second"):
        run = container.start(f"open({name!r}, 'w').write({name!r})", [name])
        assert run.stdout.readline() == STARTS  # what was there has gone
        assert [entry["path"] for entry in container.index()] == [name]
        time.sleep(0.2)
        assert run.poll() is None
        container.ask("release")
        run.communicate(timeout=20)


def test_a_large_result_of_an_earlier_container_is_not_this_ones(container: Container) -> None:
    write = "import os; open(os.environ['FAIRING_RESULT_LARGE'], 'w').write('{}')"
    for code in (write, "pass"):
        run = container.start(code, keep=0.1, FAIRING_RESULT="record")
        out, _ = run.communicate(timeout=20)
        assert (END in out) is (code == write)


def test_files_folders_patterns_and_what_lies_elsewhere(
    container: Container, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    container.start(
        "import os\n"
        "os.makedirs('runs/deep'); os.makedirs('empty')\n"
        f"os.makedirs({str(away)!r})\n"
        "for name in ('one.txt', 'two.txt', 'three', 'runs/a', 'runs/deep/b', "
        f"{str(away / 'c')!r}): open(name, 'w').write(name)\n"
        "os.symlink('nowhere', 'runs/dangling'); os.mkfifo('runs/pipe')\n",
        ["*.txt", "runs/", "runs", "empty", str(away)],
    )
    found = [entry["path"] for entry in container.index() if "error" not in entry]
    elsewhere = os.path.relpath(away / "c", "/")
    assert sorted(found) == sorted(["one.txt", "two.txt", "runs/a", "runs/deep/b", elsewhere])


def test_a_name_that_begins_with_two_dots_leads_nowhere_else(container: Container) -> None:
    container.start("open('..a', 'w').write('x')", ["..a"])
    assert [entry["path"] for entry in container.index()] == ["..a"]


def test_the_program_sees_nothing_of_its_keepers_variables(container: Container) -> None:
    code = "import os; print([name for name in os.environ if name.startswith('FAIRING_')])"
    more = {"FAIRING_TIMEOUT": "600", "FAIRING_RUN_UID": "u-1", "FAIRING_RUNTIME": "1"}
    said, _ = container.start(code, keep=1, **more).communicate(timeout=30)
    assert said.splitlines()[-1] == b"['FAIRING_RUNTIME']"


@pytest.mark.parametrize(
    ("given", "seen"), [({}, "unset"), ({"LC_CTYPE": "C.UTF-8"}, "C.UTF-8"), ({"LC_CTYPE": ""}, "")]
)
def test_the_program_sees_the_locale_that_the_container_has(
    container: Container, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], seen: str
) -> None:
    for name in ("LANG", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    run = container.start_command(["sh", "-c", "echo ${LC_CTYPE-unset}"], keep=1, **given)
    assert run.communicate(timeout=30)[0].splitlines()[-1] == seen.encode()


def test_the_exit_code_of_a_signal_is_a_shells(container: Container) -> None:
    run = container.start("import os; os.kill(os.getpid(), 9)")
    run.communicate(timeout=20)
    assert run.returncode == 137


def test_a_shells_pipe_ends_as_it_does_elsewhere(container: Container) -> None:
    script = "yes | head -1; exit ${PIPESTATUS[0]}"
    run = container.start_command(["bash", "-c", script])
    assert run.communicate(timeout=20) == (STARTS + b"y\n", STARTS)
    assert run.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize("ends", [True, False])
def test_a_stop_is_handed_on_and_keeps_nothing(container: Container, ends: bool) -> None:
    code = (
        "import signal, sys, time\n"
        "open('a.bin', 'w').write('x')\n"
        "signal.signal(15, lambda *_: sys.exit(5))\n"
        "print('up', flush=True)\n"
    )
    run = container.start(code + ("" if ends else "time.sleep(60)\n"), ["a.bin"])
    assert run.stdout
    assert run.stdout.readline() == STARTS
    assert run.stdout.readline() == b"up\n"
    if ends:
        container.index()
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=20)
    assert run.returncode == (0 if ends else 5)


@pytest.mark.parametrize(("mode", "code", "said"), [(None, 127, "No such file"),
                                                    (0o644, 126, "Permission denied"),
                                                    (0o755, 126, "Exec format")])  # fmt: skip
def test_what_can_not_be_started_is_said_as_a_shell_does(
    container: Container, tmp_path: Path, mode: int | None, code: int, said: str
) -> None:
    program = tmp_path / "program"
    if mode is not None:
        program.write_bytes(b"\x7fELF, but no")
        program.chmod(mode)
    run = container.start_command([str(program)], ["a.bin"])
    assert said in run.communicate(timeout=20)[1].decode()
    assert run.returncode == code


def test_children_that_nobody_waits_for_do_not_end_it(container: Container) -> None:
    code = "import os\nif os.fork(): os._exit(4)\nos.setsid(); os._exit(9)"
    run = container.start(code)
    run.communicate(timeout=20)
    assert run.returncode == 4


def test_where_nothing_can_be_written_it_runs_all_the_same(container: Container) -> None:
    run = container.start("print('x')", ["a.bin"], TMPDIR="/proc")
    assert run.communicate(timeout=20)[0] == STARTS + b"x\n"


def test_where_the_list_can_not_be_written_the_programs_end_is_the_runs(
    container: Container,
) -> None:
    taken = (
        "import os; room = '/.fairing-keep-' + os.uname().nodename\n"
        "os.makedirs(os.environ['TMPDIR'] + room + '/index.json.tmp')\n"
    )
    run = container.start(f"{WRITE}\n{taken}raise SystemExit(3)", ["a.bin"])
    err = run.communicate(timeout=20)[1].decode()
    assert "fairing: the outputs can't be kept: Is a directory" in err
    assert "Traceback" not in err
    assert run.returncode == 3


def test_the_shim_puts_a_large_result_aside_and_the_keeper_keeps_it(container: Container) -> None:
    record = container.home / "record"
    shim = Path(keep.__file__).with_name("shim.py")
    (container.work / "fn.p").write_bytes(pickle.dumps((operator.mul, ("y", 100_000), {})))
    command = [sys.executable, str(shim), "--serialized_fn_file", "fn.p"]
    run = container.start_command(command, FAIRING_RESULT=str(record), FAIRING_RESULT_LIMIT="4096")
    (entry,) = container.index()
    assert entry["path"] is None
    kept = json.loads(container.ask("send", "0", "0"))
    assert kept["returned"] == "y" * 100_000
    told = json.loads(record.read_bytes())
    assert told["kept"] == {"size": entry["size"], "sha256": entry["sha256"]}
    assert "was not fetched" in told["lost"]
    container.ask("release")
    run.communicate(timeout=20)
    assert run.returncode == 0


def test_a_small_result_needs_nobody(container: Container) -> None:
    record = container.home / "record"
    (container.work / "fn.p").write_bytes(pickle.dumps((operator.mul, ("y", 1), {})))
    command = [sys.executable, str(Path(keep.__file__).with_name("shim.py"))]
    run = container.start_command([*command, "--serialized_fn_file", "fn.p"],
                                  FAIRING_RESULT=str(record),
                                  FAIRING_RESULT_LIMIT="4096")  # fmt: skip
    assert run.communicate(timeout=20)[0] == STARTS
    assert json.loads(record.read_bytes())["returned"] == "y"


# --- a store ----------------------------------------------------------------------------------


class Store(http.server.BaseHTTPRequestHandler):
    """Takes what is PUT; answers with the status that its server was given."""

    def do_PUT(self) -> None:
        server = cast(Any, self.server)
        server.taken = (self.path, self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
    server.status, server.taken = 200, None
    server.url = f"http://127.0.0.1:{server.server_port}/lab/outputs?X-Amz-Signature=s3cr3t"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


WRITING = "import os; print('FAIRING_STORE_URL' in os.environ); open('a', 'w').write('123')"


def test_outputs_go_to_the_store_and_the_container_ends(container: Container, store: Any) -> None:
    container.work.joinpath("b").write_bytes(bytes(3_000_000))
    more = {"FAIRING_STORE_URL": store.url, "FAIRING_RUN_UID": "u-1"}
    running = container.start(WRITING, ["a", "b"], **more)
    out, err = running.communicate(timeout=20)
    assert running.returncode == 0
    assert b"False" in out  # a program has no business with a URL that is a secret
    assert END not in out + err
    path, body = store.taken
    assert path == "/lab/outputs?X-Amz-Signature=s3cr3t"
    line, _, rest = body.partition(b"\n")
    assert line.startswith(sources.BUNDLE)
    length = int(line.removeprefix(sources.BUNDLE))
    told = json.loads(rest[:length])
    assert told["run"] == "u-1"
    assert [(each["path"], each["size"]) for each in told["files"]] == [("a", 3), ("b", 3_000_000)]
    assert rest[length:] == b"123" + bytes(3_000_000)


def test_a_store_with_its_own_authority_is_trusted_as_said(
    container: Container, store: Any, authority: Path, certificate: tuple[Path, Path]
) -> None:
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(*certificate)
    store.socket = trust.wrap_socket(store.socket, server_side=True)
    more = {"FAIRING_STORE_URL": store.url.replace("http:", "https:")}
    program = WRITING.replace("STORE_URL", "STORE_CA")
    running = container.start(program, ["a"], **more, FAIRING_STORE_CA=authority.read_text())
    out, err = running.communicate(timeout=20)
    assert b"False" in out
    assert b"can't be stored" not in err
    assert store.taken is not None


@pytest.mark.parametrize("status", [403, 500])
def test_what_the_store_refuses_is_kept_and_no_url_is_told(
    container: Container, store: Any, status: int
) -> None:
    store.status = status
    running = container.start(WRITING, ["a"], FAIRING_STORE_URL=store.url)
    assert [each["path"] for each in container.index()] == ["a"]
    deadline = time.monotonic() + 20
    while store.taken is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    container.ask("release")
    _, err = running.communicate(timeout=20)
    assert f"the outputs can't be stored (HTTP {status}), so they are kept here".encode() in err
    assert b"s3cr3t" not in err


def test_a_store_that_is_away_keeps_nothing_from_being_kept(container: Container) -> None:
    running = container.start(WRITING, ["a"], FAIRING_STORE_URL="http://127.0.0.1:9/x?y=s3cr3t")
    container.index()
    container.ask("release")
    _, err = running.communicate(timeout=20)
    assert b"can't be stored (ConnectionRefusedError)" in err
    assert b"s3cr3t" not in err
