"""The roles that come with fairing-gcp, as `gcloud iam roles create --file` takes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROLES = sorted((ROOT / "plugins" / "gcp" / "roles").glob("*.yaml"))


@pytest.mark.parametrize("file", ROLES, ids=lambda file: file.stem)
def test_a_role_is_what_gcloud_takes_and_says_how(file: Path) -> None:
    import yaml

    text = file.read_text()
    role = yaml.safe_load(text)
    assert set(role) == {"title", "description", "stage", "includedPermissions"}
    rights = role["includedPermissions"]
    assert len(set(rights)) == len(rights)
    assert all(re.fullmatch(r"(storage|artifactregistry)\.\w+\.\w+", one) for one in rights)
    assert f"--file={file.name}" in text


def test_who_uses_it_makes_no_buckets_and_pods_write_nothing() -> None:
    import yaml

    rights = {file.stem: yaml.safe_load(file.read_text())["includedPermissions"] for file in ROLES}
    assert set(rights) == {"fairing-user", "fairing-pod", "fairing-setup"}
    assert not [one for one in rights["fairing-user"] if one.startswith("storage.buckets")]
    assert not [one for one in rights["fairing-pod"] if re.search("create|delete|upload", one)]
