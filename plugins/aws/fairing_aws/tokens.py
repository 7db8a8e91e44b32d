"""ECR's tokens: passwords that are good for some hours, renewed while half of that is left."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from typing import Any

from fairing_aws import faults
from fairing_aws._sdk import Account, Refused
from fairing_core import Credentials, errors


class Tokens:
    """Gives the login for a region's registries; one serves those of every account.

    Args:
        account: who asks.
        now: the time, in seconds.
    """

    def __init__(self, account: Account, now: Callable[[], float] = time.time) -> None:
        self._account = account
        self._now = now
        self._lock = threading.Lock()
        self._known: dict[str, Credentials] = {}

    def of(self, region: str) -> Credentials:
        """A login that is good for half of a token's life yet.

        Raises:
            SettingsError: AWS gives none.
        """
        with self._lock:
            known = self._known.get(region)
            if known is None or self._now() >= (known.expires or 0.0):
                known = self._known[region] = self._asked(region)
            return known

    def __getstate__(self) -> dict[str, Any]:
        """Tokens stay here."""
        return {"_account": self._account, "_now": self._now}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock(), _known={})

    def _asked(self, region: str) -> Credentials:
        try:
            answer = self._account.ecr("get_authorization_token", region=region)
        except Refused as exc:
            more = ""
            if faults.is_denied(exc.code):
                more = " (ecr:GetAuthorizationToken, on the resource *)"
            raise errors.SettingsError(f"no login for ECR in {region}: {exc}{more}") from exc
        (told,) = answer["authorizationData"][:1]
        user, _, password = base64.b64decode(told["authorizationToken"]).decode().partition(":")
        began = self._now()
        ends = told["expiresAt"].timestamp()
        return Credentials(user, password, expires=began + max(ends - began, 0.0) / 2)
