"""The only importer of botocore, on which boto3 stands, inside functions; its errors end here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fairing_aws import faults, hosts
from fairing_core import errors

_CONNECT = 10  # seconds
_READ = 60
_TRIES = 4
_ROLE = "assume-role"
_ORIGINS = {
    "env": "AWS_ACCESS_KEY_ID of the environment",
    "shared-credentials-file": "the profile in ~/.aws/credentials",
    "config-file": "the profile in ~/.aws/config",
    "iam-role": "this machine's own role",
    "container-role": "this container's own role",
    "assume-role-with-web-identity": "this pod's service account",
}


class Refused(Exception):
    """What AWS answered, or that nobody did: `code` is its own, `said` the whole message."""

    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.code = code


class Account:
    """Who asks AWS, and where: a session that is made when it is first used.

    Args:
        region: by default that of the environment or the profile.
        profile: a profile of the AWS configuration files.
        role_arn: a role that is assumed, and again before its keys expire.
        external_id: what the role wants to be told by whoever assumes it.
        sts_endpoint_url: where STS is, if not where AWS has it; so for ECR.
        ecr_endpoint_url: see there.
        ca: certificates (PEM) that these are checked with.
    """

    def __init__(
        self,
        *,
        region: str | None = None,
        profile: str | None = None,
        role_arn: str | None = None,
        external_id: str | None = None,
        sts_endpoint_url: str | None = None,
        ecr_endpoint_url: str | None = None,
        ca: Path | None = None,
    ) -> None:
        self._region = region
        self._profile = profile
        self._role = role_arn
        self._external_id = external_id
        self._endpoints = {"sts": sts_endpoint_url, "ecr": ecr_endpoint_url}
        self._ca = ca
        self._lock = threading.RLock()
        self._session: Any = None
        self._caller: Mapping[str, str] | None = None
        self._clients: dict[tuple[str, str], Any] = {}

    def session(self) -> Any:
        """The botocore session, whose keys are renewed before they expire.

        Raises:
            SettingsError: the profile is not there.
        """
        with self._lock:
            if self._session is None:
                self._session = self._made()
            return self._session

    @property
    def has_own_ecr(self) -> bool:
        """Whether ECR is elsewhere than AWS has it: its registry may then be called anything."""
        return self._endpoints["ecr"] is not None

    @property
    def region(self) -> str:
        """Where we are.

        Raises:
            SettingsError: nobody says.
        """
        found = self.known_region()
        if found is None:
            raise errors.SettingsError(
                "no region is named: region='eu-central-1' (FAIRING_AWS__REGION), AWS_REGION, or "
                "the profile's own ('aws configure set region ...')"
            )
        return found

    def known_region(self) -> str | None:
        """Where we are, if anybody says."""
        if self._region is not None:
            return self._region
        import os

        found = self.session().get_config_variable("region") or os.environ.get("AWS_REGION")
        return None if found is None else str(found)

    def suffix(self, region: str) -> str:
        """What the names of AWS's hosts end with in the region's partition."""
        from botocore.exceptions import BotoCoreError

        try:
            return hosts.suffix_of(self.session().get_partition_for_region(region))
        except BotoCoreError as exc:
            raise errors.SettingsError(
                f"region={region!r}: AWS has none of that name that this boto3 knows ({exc})"
            ) from exc

    def number(self) -> str:
        """The account's 12 digits.

        Raises:
            SettingsError: there are no keys, or AWS refuses them.
        """
        return self._identity()["Account"]

    def arn(self) -> str:
        """Who asks, as AWS calls it."""
        return self._identity()["Arn"]

    def origin(self) -> str:
        """In words, where the keys are from; "" where there are none."""
        found = self._credentials()
        if found is None:
            return ""
        if found.method == _ROLE and self._role is not None:
            return f"the role {self._role}"
        return _ORIGINS.get(found.method, f"boto3's {found.method}")

    def ecr(self, operation: str, *, region: str, **arguments: Any) -> dict[str, Any]:
        """The answer to one operation of ECR.

        Raises:
            Refused: by AWS, or nobody answered.
            SettingsError: there are no keys.
        """
        return self._call("ecr", operation, region, **arguments)

    def _identity(self) -> Mapping[str, str]:
        with self._lock:
            if self._caller is None:
                region = self.known_region() or "us-east-1"
                try:
                    self._caller = self._call("sts", "get_caller_identity", region)
                except Refused as exc:
                    raise errors.SettingsError(f"AWS does not say who you are: {exc}") from exc
            return self._caller

    def _call(self, service: str, operation: str, region: str, **arguments: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        if self._credentials() is None:
            raise errors.SettingsError(_KEYLESS)
        try:
            client = self._client(service, region)
            answer: dict[str, Any] = getattr(client, operation)(**arguments)
        except ClientError as exc:
            raise _refused(f"{service}:{operation}", exc, self.origin()) from exc
        except BotoCoreError as exc:
            raise Refused("", _unanswered(f"{service}:{operation}", exc, region)) from exc
        return answer

    def _client(self, service: str, region: str) -> Any:
        with self._lock:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._client_of(self.session(), service, region)
            return self._clients[service, region]

    def _client_of(self, session: Any, service: str, region: str) -> Any:
        from botocore.config import Config

        return session.create_client(
            service,
            region_name=region,
            endpoint_url=self._endpoints[service],
            verify=None if self._ca is None else str(self._ca),
            config=Config(
                connect_timeout=_CONNECT,
                read_timeout=_READ,
                retries={"mode": "standard", "total_max_attempts": _TRIES},
                user_agent_extra="fairing",
            ),
        )

    def _credentials(self) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self.session().get_credentials()
        except ClientError as exc:
            raise errors.SettingsError(str(_refused("no keys", exc, ""))) from exc
        except BotoCoreError as exc:
            raise errors.SettingsError(f"there are no keys for AWS: {exc}; log in anew") from exc

    def _made(self) -> Any:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        try:
            session = Session(profile=self._profile)
            session.get_config_variable("region")  # reads the profile
            if self._role is not None:
                first, session = session, Session(profile=self._profile)
                _assuming(session, lambda: self._assumed(first))
        except BotoCoreError as exc:
            raise errors.SettingsError(
                f"profile={self._profile!r}: {exc}; 'aws configure list-profiles' lists them"
            ) from exc
        return session

    def _assumed(self, session: Any) -> dict[str, str]:
        """Fresh keys of the role, as botocore's metadata."""
        from botocore.exceptions import BotoCoreError, ClientError

        assert self._role is not None
        region = self._region or session.get_config_variable("region") or "us-east-1"
        more = {"ExternalId": self._external_id} if self._external_id else {}
        what = f"role_arn={self._role!r} can't be assumed"
        try:
            told = self._client_of(session, "sts", region).assume_role(
                RoleArn=self._role, RoleSessionName="fairing", **more
            )["Credentials"]
        except ClientError as exc:
            raise errors.SettingsError(str(_refused(what, exc, ""))) from exc
        except BotoCoreError as exc:
            raise errors.SettingsError(_unanswered(what, exc, region)) from exc
        return {
            "access_key": told["AccessKeyId"],
            "secret_key": told["SecretAccessKey"],
            "token": told["SessionToken"],
            "expiry_time": told["Expiration"].isoformat(),
        }

    def __getstate__(self) -> dict[str, Any]:
        """Handles of runs travel to other processes; keys don't."""
        left_out = ("_lock", "_session", "_clients")
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock(), _session=None, _clients={})

    def __repr__(self) -> str:
        said = {"region": self._region, "profile": self._profile, "role_arn": self._role}
        words = ", ".join(f"{key}={value!r}" for key, value in said.items() if value is not None)
        return f"{type(self).__name__}({words})"


_KEYLESS = (
    "there are no keys for AWS: log in ('aws sso login', 'aws configure'), name a profile "
    "(FAIRING_AWS__PROFILE, AWS_PROFILE), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)


def _assuming(session: Any, assumed: Callable[[], dict[str, str]]) -> None:
    """Has the session take the keys that `assumed` gives, and new ones before they expire."""
    from botocore.credentials import CredentialProvider, RefreshableCredentials

    class Role(CredentialProvider):  # type: ignore[misc] # botocore has no types
        METHOD = CANONICAL_NAME = "fairing-role"

        def load(self) -> Any:
            return RefreshableCredentials.create_from_metadata(
                metadata=assumed(), refresh_using=assumed, method=_ROLE
            )

    session.get_component("credential_provider").insert_before("env", Role())


def _refused(what: str, exc: Any, origin: str) -> Refused:
    error = exc.response.get("Error", {})
    code = str(error.get("Code", ""))
    return Refused(code, faults.refused(what, code, str(error.get("Message", "")), origin))


def _unanswered(what: str, exc: Exception, region: str) -> str:
    from botocore.exceptions import EndpointConnectionError

    told = f"{what}: {exc}"
    if isinstance(exc, EndpointConnectionError):
        told += f"; is region={region!r} right, and the network up?"
    return told
