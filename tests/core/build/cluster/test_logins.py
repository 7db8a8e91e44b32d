"""What a build's pod is told of registries."""

from __future__ import annotations

import json

import pytest

from fairing_core.build.cluster.job import logins_secret
from fairing_core.build.cluster.logins import logins
from fairing_core.images.cache import Cache
from fairing_core.images.keychain import Keychain, in_config
from fairing_core.images.reference import ImageRef
from fairing_core.images.session import Session
from fairing_core.images.tokens import IDENTITY_TOKEN, REGISTRY_TOKEN
from fairing_core.types import Credentials

REF = ImageRef.parse("r.example/team/app")


@pytest.mark.parametrize(
    ("user", "said"),
    [("ada", "auth"), (IDENTITY_TOKEN, "identitytoken"), (REGISTRY_TOKEN, "registrytoken")],
)
def test_the_pod_has_the_login_that_the_user_has(user: str, said: str) -> None:
    known = Credentials(user, "s3cret")
    keychain = Keychain({"r.example": known}, environ={"REGISTRY_AUTH_FILE": "/dev/null"})
    with Session({}, cache=Cache(None), keychain=keychain) as session:
        secret = logins_secret(logins(session, [REF], {}))
    assert secret is not None
    config = secret.data[".dockerconfigjson"]
    assert in_config(config, REF, "config.json") == known
    assert [*json.loads(config)["auths"]["r.example"]] == [said]
