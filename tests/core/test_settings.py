import enum
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core import BackendInterface, errors
from fairing_core.settings import Settings, coerced, options
from fairing_core.types import RegistryAccess


class Colour(enum.Enum):
    RED = "red"


class Lab(BackendInterface):
    name = "my-lab"

    def __init__(
        self,
        *,
        region: str | None = None,
        port: int = 1,
        secure: bool = True,
        ca: Path | None = None,
        zones: tuple[str, ...] = (),
        mode: Literal["fast", "slow"] = "fast",
        password: int = 0,
    ) -> None:
        pass


def write(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_backends_settings_are_read_by_annotation_from_the_environment() -> None:
    environ = {
        "FAIRING_MY_LAB__REGION": "eu",
        "FAIRING_MY_LAB__PORT": "8080",
        "FAIRING_MY_LAB__SECURE": "off",
        "FAIRING_MY_LAB__CA": "/etc/ca.crt",
        "FAIRING_MY_LAB__ZONES": "a, b,c",
        "FAIRING_MY_LAB__MODE": "slow",
        "FAIRING_OTHER__PORT": "none of ours",
    }
    assert Settings(environ=environ).of_backend("my-lab", Lab) == {
        "region": "eu",
        "port": 8080,
        "secure": False,
        "ca": Path("/etc/ca.crt"),
        "zones": ("a", "b", "c"),
        "mode": "slow",
    }


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, "[tool.fairing]\nbackend = 'a'\n[tool.fairing.backends.my-lab]\nport = 2\n")
    found = Settings.near(tmp_path)
    environ = {"FAIRING_BACKEND": "b", "FAIRING_MY_LAB__PORT": "3"}
    both = Settings(found.table, found.file, environ)
    assert both.get("backend") == "b"
    assert both.of_backend("my-lab", Lab) == {"port": 3}
    file_alone = Settings(found.table, found.file, {})
    assert file_alone.get("backend") == "a"
    assert file_alone.of_backend("my-lab", Lab) == {"port": 2}


def test_the_nearest_pyproject_above_the_entry_is_read(tmp_path: Path) -> None:
    write(tmp_path, "[tool.fairing]\nbackend = 'outer'\n")
    inner = tmp_path / "inner" / "deep"
    inner.mkdir(parents=True)
    assert Settings.near(inner).table == {"backend": "outer"}
    write(tmp_path / "inner", "[project]\nname = 'x'\n")
    assert Settings.near(inner).table == {}


def test_an_unknown_setting_names_where_it_is_and_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownSetting, match=r"FAIRING_MY_LAB__PROT.*mean 'port'"):
        Settings(environ={"FAIRING_MY_LAB__PROT": "1"}).of_backend("my-lab", Lab)
    write(tmp_path, "[tool.fairing.backends.my-lab]\nzone = 'a'\n")
    with pytest.raises(errors.UnknownSetting, match=r"zone in .*pyproject.toml.*mean 'zones'"):
        Settings.near(tmp_path).of_backend("my-lab", Lab)
    write(tmp_path, "[tool.fairing]\nbakcend = 'local'\n")
    with pytest.raises(errors.UnknownSetting, match="mean 'backend'"):
        Settings.near(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["[tool.fairing", "[tool.fairing]\nbackend = 3", "[tool.fairing]\nbackends = {a = 1}"],
)
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(errors.SettingsError, match=r"pyproject\.toml"):
        Settings.near(tmp_path)


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [("PORT", "many", "int"), ("SECURE", "maybe", "bool"), ("MODE", "medium", "'fast' or 'slow'")],
)
def test_a_value_that_does_not_fit_is_shown(variable: str, value: str, wanted: str) -> None:
    with pytest.raises(errors.SettingsError, match=f"{value!r} is no {wanted}"):
        Settings(environ={f"FAIRING_MY_LAB__{variable}": value}).of_backend("my-lab", Lab)


def test_a_value_that_looks_secret_is_not_shown() -> None:
    with pytest.raises(errors.SettingsError) as raised:
        Settings(environ={"FAIRING_MY_LAB__PASSWORD": "hunter2"}).of_backend("my-lab", Lab)
    assert "hunter2" not in str(raised.value)


def test_a_value_of_the_file_that_looks_secret_is_not_shown(tmp_path: Path) -> None:
    write(tmp_path, "[tool.fairing.backends.my-lab]\npassword = 'hunter2'\n")
    with pytest.raises(errors.SettingsError, match="password in") as raised:
        Settings.near(tmp_path).of_backend("my-lab", Lab)
    assert "hunter2" not in str(raised.value)


def test_an_unknown_option_names_the_near_one() -> None:
    with pytest.raises(errors.UnknownOption, match="no option 'regoin'; did you mean 'region'"):
        options(Lab, {"regoin": "eu"}, "backend 'my-lab'")


def test_plain_values_of_other_types_are_refused_not_turned() -> None:
    with pytest.raises(errors.SettingsError, match="port: True is no int"):
        options(Lab, {"port": True}, "backend 'my-lab', given")
    assert coerced(1, float, "x") == 1.0
    assert coerced("red", Colour, "x") is Colour.RED
    assert coerced(["a"], list[str], "x") == ["a"]


@pytest.mark.parametrize(
    ("hint", "value", "wanted"),
    [
        (Mapping[str, str] | None, "{'a'", "None or mapping"),
        (Mapping[str, str], ["a"], "mapping"),
        (Sequence[str], {"a": 1}, "list of texts"),
        (str | Sequence[str], ["a", 1], "list of texts or str"),
        (Sequence[int], {"a": 1}, "list"),
        (Iterable[str], 3, "list"),
        (str | os.PathLike[str], 3, "path or str"),
    ],
)
def test_a_mapping_a_list_and_a_path_are_told_from_other_things(
    hint: Any, value: Any, wanted: str
) -> None:
    with pytest.raises(errors.SettingsError, match=f"is no {wanted}$"):
        coerced(value, hint, "x")


def test_mappings_lists_and_paths_are_left_as_they_are() -> None:
    for hint, value in (
        (Mapping[str, int], {"a": "b"}),
        (Sequence[int], ("a",)),
        (Iterable[str], {"a"}),
        (str | Sequence[str], "a b"),
        (os.PathLike[str], Path("a")),
    ):
        assert coerced(value, hint, "x") is value


@given(st.integers() | st.booleans() | st.floats(allow_nan=False) | st.text())
def test_what_python_writes_is_read_back(value: object) -> None:
    assert coerced(str(value), type(value), "x") == value


def test_how_registries_are_reached_is_read_by_host(tmp_path: Path) -> None:
    write(
        tmp_path,
        "[tool.fairing.registries.'lab.example:5000']\nca = 'lab.pem'\nplain_http = false\n"
        "[tool.fairing.registries.'plain.example']\nplain_http = true\npull_name = 'p:5000'\n",
    )
    assert Settings.near(tmp_path).registries() == {
        "lab.example:5000": RegistryAccess(ca=tmp_path / "lab.pem", plain_http=False),
        "plain.example": RegistryAccess(plain_http=True, pull_name="p:5000"),
    }


def test_a_registry_has_no_other_settings(tmp_path: Path) -> None:
    write(tmp_path, "[tool.fairing.registries.'lab.example']\nplain-http = true\n")
    with pytest.raises(errors.UnknownSetting, match=r"lab\.example.*mean 'plain_http'"):
        Settings.near(tmp_path).registries()


@pytest.mark.parametrize("table", ["registries = 'x'", "registries.lab = 'x'"])
def test_registries_that_are_no_tables_are_refused(tmp_path: Path, table: str) -> None:
    write(tmp_path, f"[tool.fairing]\n{table}\n")
    with pytest.raises(errors.SettingsError, match="no table"):
        Settings.near(tmp_path).registries()
