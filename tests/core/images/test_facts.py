from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairing_core.errors import ImageError
from fairing_core.images.facts import Facts, learn, python_from_config, user_from_config
from tests.core.images.layers import PASSWD, PATH, Files, Layer, Link, layer, tar

CONDA = "/opt/conda/bin:" + PATH
JOVYAN = PASSWD + b"# comment\n\njovyan:x:1000:100:,,,:/home/jovyan:/bin/bash\n"
GROUPS = b"root:x:0:\nusers:x:100:jovyan\n"
GLIBC = b"\x7fELF GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\n"


def config(user: str | None = None, path: str | None = PATH, **env: str) -> dict[str, Any]:
    variables = {**({"PATH": path} if path else {}), **env}
    pairs = [f"{name}={value}" for name, value in variables.items()]
    return {"os": "linux", "config": {"User": user, "Env": pairs}}


def user(text: str, *layers: Files) -> tuple[int | None, int | None]:
    facts = learn(config(text), [layer(each) for each in layers], wanted={"user"})
    return facts.uid, facts.gid


def python(*layers: Files, path: str | None = PATH, **env: str) -> str | None:
    stored = [layer(each) for each in layers]
    return learn(config(path=path, **env), stored, wanted={"python"}).python


def libc(*layers: Files) -> str | None:
    return learn(config(), [layer(each) for each in layers], wanted={"libc"}).libc


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", (0, 0)),
        (None, (0, 0)),
        ("0", (0, 0)),
        ("root", (0, 0)),
        ("root:root", (0, 0)),
        ("1000", (1000, 0)),
        ("1000:", (1000, 0)),
        ("1000:100", (1000, 100)),
        (":100", (0, 100)),
        ("2147483647", (2147483647, 0)),
        ("2147483648", None),
        ("jovyan", None),
        ("jovyan:100", None),
        ("1000:users", None),
        ("²", None),
    ],
)
def test_numbers_are_in_the_config(text: str | None, numbers: tuple[int, int] | None) -> None:
    assert user_from_config(config(text)) == numbers


@pytest.mark.parametrize("empty", [{}, {"config": None}, {"config": {"Env": None, "User": None}}])
def test_an_image_without_settings_runs_as_root(empty: dict[str, Any]) -> None:
    assert user_from_config(empty) == (0, 0)
    assert python_from_config(empty) is None


def test_what_the_config_tells_opens_no_layer() -> None:
    unread = layer({"etc/passwd": PASSWD})
    facts = learn(
        config("1000", path="/usr/local/bin:" + PATH, PYTHON_VERSION="3.11.9"),
        [unread],
        wanted={"user", "python"},
    )
    assert (facts.uid, facts.gid, facts.python, facts.libc) == (1000, 0, "3.11", None)
    assert facts.learned == {"user", "python"}
    assert unread.opened == 0


def test_what_was_not_wanted_is_not_told() -> None:
    facts = learn(config(), [], wanted=set())
    assert facts == Facts()


@pytest.mark.parametrize("version", ["", "default", "three"])
def test_a_python_version_that_is_none_is_not_believed(version: str) -> None:
    assert python_from_config(config(PYTHON_VERSION=version)) is None


def test_the_official_python_is_not_believed_behind_another() -> None:
    assert python_from_config(config(path=CONDA, PYTHON_VERSION="3.11.9")) is None
    files: Files = {"opt/conda/bin/python": Link("python3.12")}
    assert python(files, path=CONDA, PYTHON_VERSION="3.11.9") == "3.12"


def test_a_named_user_has_the_numbers_of_etc_passwd() -> None:
    assert user("jovyan", {"etc/passwd": JOVYAN}) == (1000, 100)


def test_a_user_may_be_added_in_a_middle_layer() -> None:
    lower: Files = {"etc/passwd": PASSWD}
    assert user("jovyan", lower, {"./etc/passwd": JOVYAN}, {"home/jovyan": None}) == (1000, 100)


def test_the_topmost_passwd_counts() -> None:
    upper = JOVYAN.replace(b":1000:100:", b":1234:0:")
    assert user("jovyan", {"etc/passwd": JOVYAN}, {"etc/passwd": upper}) == (1234, 0)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("jovyan:users", (1000, 100)),
        ("jovyan:0", (1000, 0)),
        ("jovyan:root", (1000, 0)),
        ("5:users", (5, 100)),
        ("root:users", (0, 100)),
        (":users", (0, 100)),
    ],
)
def test_groups_have_names_too(text: str, numbers: tuple[int, int]) -> None:
    assert user(text, {"etc/passwd": JOVYAN}, {"etc/group": GROUPS}) == numbers


@pytest.mark.parametrize(
    "whiteout", [".wh.etc", "etc/.wh.passwd", "etc/.wh..wh..opq", ".wh..wh..opq"]
)
def test_a_passwd_that_was_deleted_tells_nothing(whiteout: str) -> None:
    with pytest.raises(ImageError, match=r"'jovyan'.* has no /etc/passwd"):
        user("jovyan", {"etc/passwd": JOVYAN}, {whiteout: b""})


def test_a_whiteout_leaves_its_own_layer_alone() -> None:
    upper: Files = {"etc/.wh..wh..opq": b"", "etc/passwd": JOVYAN, "etc/.wh.passwd": b""}
    assert user("jovyan", {"etc/passwd": PASSWD}, upper) == (1000, 100)


def test_whiteouts_of_other_files_hide_nothing() -> None:
    upper: Files = {"etc/.wh.passwd-": b"", "var/.wh..wh..opq": b"", ".wh..wh.plnk": None}
    assert user("jovyan", {"etc/passwd": JOVYAN}, upper) == (1000, 100)


def test_an_unknown_user_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ImageError, match=r"user 'ghost' that python:3 .*Pass .*user=\"1000\""):
        learn(config("ghost"), [layer({"etc/passwd": JOVYAN})], wanted=["user"], image="python:3")


def test_an_unknown_group_is_an_error() -> None:
    with pytest.raises(ImageError, match=r"group 'ghosts'.*doesn't list it in /etc/group"):
        user("jovyan:ghosts", {"etc/passwd": JOVYAN, "etc/group": GROUPS})


@pytest.mark.parametrize("line", [b"jovyan", b"jovyan:x:many:100::", b"jovyan:x::::", b"+jovyan::"])
def test_a_damaged_line_tells_nothing(line: bytes) -> None:
    with pytest.raises(ImageError, match="doesn't list it"):
        user("jovyan", {"etc/passwd": PASSWD + line})


def test_a_passwd_without_end_is_refused() -> None:
    with pytest.raises(ImageError, match="of 1,048,577 bytes"):
        user("jovyan", {"etc/passwd": bytes(1024 * 1024 + 1)})


def test_a_passwd_that_is_a_link_is_followed() -> None:
    store: Files = {"nix/store/a-etc": None, "nix/store/a-etc/passwd": JOVYAN}
    assert user("jovyan", store, {"etc/passwd": Link("/nix/store/a-etc/passwd")}) == (1000, 100)
    assert user("jovyan", store, {"etc": Link("nix/store/a-etc")}) == (1000, 100)
    assert user("jovyan", {**store, "etc/passwd": Link("nix/store/a-etc/passwd", hard=True)}) == (
        1000,
        100,
    )


def test_a_passwd_that_links_to_itself_tells_nothing() -> None:
    with pytest.raises(ImageError, match="has no /etc/passwd"):
        user("jovyan", {"etc/passwd": Link("passwd")})


def test_reading_stops_where_the_user_is_known() -> None:
    top = layer({"app": None})
    middle = Layer(tar({"etc/passwd": JOVYAN, "usr/large": bytes(1_000_000)}))
    bottom = layer({"etc/passwd": PASSWD})
    learn(config("jovyan"), [bottom, middle, top], wanted={"user"})
    assert (top.opened, middle.opened, bottom.opened) == (1, 1, 0)
    assert (top.closed, middle.closed) == (1, 1)
    assert top.read_whole
    assert middle.taken < 10


def test_a_stream_that_can_be_closed_is_closed() -> None:
    class Response:
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            yield tar({"etc/passwd": JOVYAN})

        def close(self) -> None:
            self.closed = True

    response = Response()
    learn(config("jovyan"), [lambda: response], wanted={"user"})
    assert response.closed


def test_debian_has_python3_in_usr_bin() -> None:
    base: Files = {"bin": Link("usr/bin"), "usr/bin/python3": Link("python3.11")}
    assert python(base, {"app/main.py": b""}) == "3.11"


def test_python_comes_before_python3() -> None:
    base: Files = {
        "usr/bin/python3": Link("python3.11"),
        "usr/bin/python3.11": b"\x7fELF",
        "usr/bin/python": Link("/etc/alternatives/python"),
    }
    assert python(base, {"etc/alternatives/python": Link("/usr/bin/python2.7")}) == "2.7"


def test_the_first_folder_on_path_counts_whatever_its_layer() -> None:
    lower: Files = {"usr/local/bin/python": Link("python3.12")}
    assert python(lower, {"usr/bin/python": Link("python3.11")}) == "3.12"


def test_the_upper_layers_link_counts() -> None:
    lower: Files = {"usr/bin/python": Link("python3.9")}
    assert python(lower, {"usr/bin/python": Link("python3.11")}) == "3.11"


def test_a_python_that_was_deleted_is_none() -> None:
    lower: Files = {"usr/bin/python3": Link("python3.11"), "usr/local/bin/python": b"\x7fELF"}
    upper: Files = {"usr/bin/.wh.python3": b"", "usr/local/.wh.bin": b""}
    assert python(lower, upper) is None


def test_a_folder_on_path_may_be_a_link() -> None:
    base: Files = {"usr/bin/python3": Link("python3.11"), "bin": Link("usr/bin")}
    assert python(base, path="/bin") == "3.11"


def test_a_file_in_a_links_place_hides_what_was_below() -> None:
    lower: Files = {"opt/python/bin/python": Link("python3.9")}
    upper: Files = {"opt/python": Link("py"), "opt/py/bin/python": Link("python3.13")}
    assert python(lower, upper, path="/opt/python/bin") == "3.13"


def test_conda_has_a_versioned_file() -> None:
    base: Files = {
        "opt/conda/bin/python": Link("python3.12"),
        "opt/conda/bin/python3.12": b"\x7fELF",
    }
    below = layer({"usr/bin/python3": Link("python3.11")})
    top = Layer(tar({**base, "opt/conda/pkgs": bytes(1_000_000)}))
    facts = learn(config(path=CONDA), [below, top], wanted={"python"})
    assert facts.python == "3.12"
    assert below.opened == 0
    assert top.taken < 10


def test_conda_may_be_a_plain_file_beside_its_library() -> None:
    base: Files = {"opt/conda/bin/python": b"\x7fELF", "opt/conda/lib/python3.10/os.py": b""}
    assert python(base, path=CONDA) == "3.10"
    assert python({**base, "opt/conda/lib/python3.11/os.py": b""}, path=CONDA) is None


def test_a_hard_link_tells_as_a_symbolic_one_does() -> None:
    base: Files = {
        "usr/bin/python3.11": b"\x7fELF",
        "usr/bin/python3": Link("usr/bin/python3.11", hard=True),
    }
    assert python(base) == "3.11"


def test_a_venv_tells_by_its_pyvenv_cfg() -> None:
    venv: Files = {
        "app/.venv/bin/python": Link("/usr/local/bin/python3"),
        "app/.venv/pyvenv.cfg": b"home = /usr/local/bin\nversion_info = 3.13.2\n",
    }
    below = layer({"usr/local/bin/python3": Link("python3.9")})
    facts = learn(config(path="/app/.venv/bin:" + PATH), [below, layer(venv)], wanted={"python"})
    assert facts.python == "3.13"
    assert below.opened == 0


def test_a_venv_of_uv_tells_by_its_links() -> None:
    home = "root/.local/share/uv/python"
    base: Files = {
        "app/.venv/bin/python": Link(f"/{home}/cpython-3.12-linux-x86_64-gnu/bin/python3"),
        f"{home}/cpython-3.12-linux-x86_64-gnu": Link("cpython-3.12.4-linux-x86_64-gnu"),
        f"{home}/cpython-3.12.4-linux-x86_64-gnu/bin/python3": Link("python3.12"),
    }
    assert python(base, path="/app/.venv/bin:" + PATH) == "3.12"


def test_a_shim_tells_nothing_though_another_python_would() -> None:
    base: Files = {
        "root/.pyenv/shims/python": b"#!/usr/bin/env bash\n",
        "usr/bin/python": Link("python3.11"),
    }
    assert python(base, path="/root/.pyenv/shims:" + PATH) is None


@pytest.mark.parametrize("path", ["bin", "/usr/sbin", None])
def test_an_image_without_python_has_none(path: str | None) -> None:
    assert python({"bin/sh": b"", "usr/bin/pythonesque": b""}, path=path) is None


def test_more_names_than_fit_leave_python_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairing_core.images.search._MOST_NAMES", 50)
    many: Files = {f"gone/.wh.{number}": b"" for number in range(60)}
    files: Files = {"usr/bin/python": Link("python3.11")}
    assert python(files) == "3.11"
    assert python(files, many, {"usr/bin/python3": b""}) is None


def test_glibc_tells_its_version() -> None:
    base: Files = {"lib": Link("usr/lib"), "usr/lib/x86_64-linux-gnu/libc.so.6": GLIBC}
    assert libc(base) == "glibc 2.36"


def test_an_older_glibc_tells_it_by_its_name() -> None:
    folder = "lib/x86_64-linux-gnu"
    assert libc({f"{folder}/libc.so.6": Link("libc-2.31.so")}) == "glibc 2.31"
    assert libc({f"{folder}/libc-2.28.so": b"\x7fELF"}) == "glibc 2.28"


def test_musl_tells_its_version() -> None:
    body = b"\x7fELF\0%s: %s\0" + b"1.2.5\0musl libc (x86_64)\nVersion %s\n"
    assert libc({"lib/ld-musl-x86_64.so.1": body}) == "musl 1.2.5"
    assert libc({"lib/ld-musl-x86_64.so.1": b"\x7fELF"}) == "musl"


def test_a_musl_beside_glibc_is_not_the_systems() -> None:
    base: Files = {
        "lib/ld-musl-x86_64.so.1": Link("x86_64-linux-musl/libc.so"),
        "usr/lib/x86_64-linux-gnu/libc.so.6": GLIBC,
    }
    assert libc(base) == "glibc 2.36"


def test_a_sysroots_glibc_is_not_the_systems() -> None:
    assert libc({"opt/conda/x86_64-conda-linux-gnu/sysroot/lib64/libc.so.6": GLIBC}) is None


def test_the_libc_alone_is_looked_for_from_the_bottom() -> None:
    bottom = Layer(tar({"usr/lib64/libc.so.6": GLIBC, "usr/large": bytes(1_000_000)}))
    top = layer({"app": None})
    assert learn(config(), [bottom, top], wanted={"libc"}).libc == "glibc 2.36"
    assert top.opened == 0
    assert bottom.taken < 10


def test_one_read_answers_all() -> None:
    layers = [
        layer({"etc/passwd": JOVYAN, "usr/lib/libc.so.6": GLIBC}),
        layer({"usr/bin/python3": Link("python3.11")}),
    ]
    facts = learn(config("jovyan"), layers)
    assert (facts.uid, facts.gid, facts.python, facts.libc) == (1000, 100, "3.11", "glibc 2.36")
    assert [each.opened for each in layers] == [1, 1]


def test_a_damaged_layer_is_named() -> None:
    good = layer({"app": None})
    bad = Layer(b"<html>not here</html>" * 100)
    with pytest.raises(ImageError, match=r"Layer 2 of 3 of python:3 can't be read: .*header"):
        learn(config("jovyan"), [good, bad, good], image="python:3")
    assert bad.closed == 1


def test_a_streams_own_error_comes_through() -> None:
    def broken() -> Iterator[bytes]:
        yield b"\x1f\x8b\x08\x00"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        learn(config("jovyan"), [broken])


def test_facts_travel_as_json() -> None:
    facts = Facts(uid=1000, gid=100, python="3.11", learned=frozenset({"user", "python"}))
    assert Facts.from_json(facts.to_json()) == facts
    assert facts.to_json() == (
        '{"format": 1, "uid": 1000, "gid": 100, "python": "3.11", "libc": null,'
        ' "learned": ["python", "user"]}'
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 0}', '{"format": 1}', '{"format": 1, "learned": 3}']
)
def test_other_json_is_no_facts(text: str) -> None:
    assert Facts.from_json(text) is None


def test_memory_is_flat() -> None:
    def large() -> Iterator[bytes]:
        body = bytes(1 << 20)
        for number in range(100):
            yield tar({f"usr/share/{number}": body, f"usr/bin/tool{number}": b"x"})[
                : (1 << 20) + 1536
            ]

    tracemalloc.start()
    try:
        assert learn(config(), [large], wanted={"python", "libc"}).python is None
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_this_systems_own_libc_is_understood() -> None:
    known = [*Path("/usr/lib").glob("*/libc.so.6"), *Path("/lib").glob("ld-musl-*")]
    if not known:
        pytest.skip("no libc where Debian and Alpine have it")
    name = str(known[0].relative_to("/"))
    family, version = str(libc({name: known[0].read_bytes()})).split()
    assert family in {"glibc", "musl"}
    assert version[0].isdigit()
