"""What the documents say is run, or at least there."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest

import fairing_core

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(
        path for room in ("docs", "examples/*", "plugins/*") for path in ROOT.glob(f"{room}/*.md")
    ),
]


@pytest.mark.parametrize("name", ["BackendInterface", "RunHandle", "TrainJob"])
def test_what_users_meet_first_has_an_example(name: str) -> None:
    assert ">>>" in (inspect.getdoc(getattr(fairing_core, name)) or "")


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    for name in fairing_core.__all__:
        if name != "PLUGIN_API":
            assert inspect.getdoc(getattr(fairing_core, name)), name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = fairing_core.nonsense
    assert dir(fairing_core) == fairing_core.__all__


_by_path = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@_by_path
def test_links_lead_somewhere_and_python_parses(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(code, str(page), "exec")


@_by_path
def test_every_command_that_is_shown_is_one(page: Path) -> None:
    from fairing_core import cli

    shown = re.findall(r"^(?:\$ |    )fairing ([^\n>#|&]+)", page.read_text("utf-8"), re.MULTILINE)
    for line in shown:
        name, rest = cli._chosen(shlex.split(line))
        one = cli._load(name)
        one.given(one.parser(name), rest)  # a word that is not known ends it


def test_every_make_target_that_the_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:`|\$ |    )make ([a-z-]+)", page.read_text(encoding="utf-8"))
        assert set(named) <= targets, page


def test_the_architecture_page_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {
        f"`{entry.name}/`" if entry.is_dir() else f"`{entry.name}`"
        for entry in (ROOT / "fairing_core").iterdir()
        if entry.name not in ("__pycache__", "py.typed")
    }
    assert {room for room in rooms if f"| {room} |" not in text} == set()


def test_the_page_of_causes_names_every_kind() -> None:
    sources = [
        ROOT / "fairing_core" / name for name in ("diagnosis.py", "cluster/why.py", "interfaces.py")
    ]
    text = "".join(path.read_text("utf-8") for path in sources)
    kinds = set(re.findall(r'Diagnosis\(\s*"([a-z-]+)"', text))
    kinds |= set(re.findall(r'\(\s*"(image[a-z-]*)",', text))
    assert len(kinds) > 20
    page = (ROOT / "docs" / "why.md").read_text("utf-8")
    assert kinds == set(re.findall(r"^\| `([a-z-]+)`", page, re.MULTILINE))


def test_the_page_of_notebooks_has_the_rule_of_every_magic() -> None:
    from fairing_core.preprocess.notebooks.rules import RULES

    page = (ROOT / "docs" / "notebooks.md").read_text("utf-8")
    for rule in RULES:
        names = ", ".join(f"`{name}`" for name in rule.names.split())
        assert f"| {names} | {rule.fate} | {rule.why} |\n" in page
