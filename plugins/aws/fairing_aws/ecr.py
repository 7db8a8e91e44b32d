"""The registry: ECR, which wants a repository made before its first push."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any, Literal

from fairing_aws import faults, hosts, pods
from fairing_aws._sdk import Account, Refused
from fairing_aws.hosts import Place
from fairing_aws.tokens import Tokens
from fairing_core import Credentials, PodPatch, errors, logins

logger = logging.getLogger(__name__)


class AnyECR:
    """Every registry of ECR, for images that are named in full: logs in by the AWS session.

    Example:
        >>> from fairing_aws.ecr import AnyECR
        >>> AnyECR.serves("012345678901.dkr.ecr.eu-central-1.amazonaws.com")
        True
        >>> AnyECR.serves("registry.lab.example")
        False
    """

    def __init__(self) -> None:
        self._tokens = Tokens(Account())

    @classmethod
    def serves(cls, host: str) -> bool:
        """Whether `host` is a registry of ECR."""
        return hosts.place_of(host) is not None

    def repository(self, name: str) -> str:
        """`name`, which has to be a full one."""
        return name

    def ensure(self, repository: str) -> None:
        """Nothing: the backend `aws` makes repositories."""

    def credentials(self, host: str) -> Credentials | None:
        """A token for the registry.

        Raises:
            SettingsError: AWS gives none.
        """
        place = hosts.place_of(host)
        return None if place is None else self._tokens.of(place.region)

    def pod_access(self, mode: Literal["pull", "push"]) -> Sequence[PodPatch]:
        """Nothing: nodes of EKS have a role that may pull."""
        return ()


class ECRRegistry:
    """A place in ECR: by default the registry of the session's own account and region.

    Nodes pull without a Secret where they have the role for it, as EKS's have
    (AmazonEC2ContainerRegistryPullOnly). Others need one.

    Args:
        account: who asks.
        place: where images are pushed, ``host[/path]``. A registry that is not ECR's, by its name,
            is no business of AWS's: no token is shown to it, and the user's own login has to do;
            unless `account` has an ECR of its own.
        prefix: the path, where `place` is left out.
        create_repository: whether a repository that is missing is made at the first push.
        pull_secret: the Secret by which nodes without a role pull.
        make_pull_secret: whether one with a token (12 hours) is made for each run.

    Example:
        >>> from fairing_aws import ECRRegistry
        >>> from fairing_aws.ecr import Account
        >>> host = "012345678901.dkr.ecr.eu-central-1.amazonaws.com"
        >>> ECRRegistry(Account(), place=f"{host}/team").repository("train")
        '012345678901.dkr.ecr.eu-central-1.amazonaws.com/team/train'
    """

    def __init__(
        self,
        account: Account,
        *,
        place: str | None = None,
        prefix: str = "",
        create_repository: bool = True,
        pull_secret: str | None = None,
        make_pull_secret: bool = False,
    ) -> None:
        self._account = account
        self._said = None if place is None else place.strip("/")
        self._prefix = prefix.strip("/")
        self._create = create_repository
        self._pull_secret = pull_secret
        self._make_pull_secret = make_pull_secret
        self._tokens = Tokens(account)
        self._lock = threading.Lock()
        self._there: set[str] = set()

    @property
    def place(self) -> str:
        """Where images are pushed, ``host[/path]``.

        Raises:
            SettingsError: nobody says a region, or AWS does not say the account.
        """
        if self._said is None:
            region = self._account.region
            suffix = self._account.suffix(region)
            host = f"{self._account.number()}.dkr.ecr.{region}.{suffix}"
            self._said = f"{host}/{self._prefix}" if self._prefix else host
        return self._said

    @property
    def host(self) -> str:
        """The registry."""
        return self.place.partition("/")[0]

    @property
    def said(self) -> str | None:
        """The place as far as it is known without asking anybody."""
        return self._said

    def serves(self, host: str) -> bool:
        """Whether it is this registry, or another of ECR: a token is good for all of them."""
        return self._is_own(host) or hosts.place_of(host) is not None

    @property
    def takes_tokens(self) -> bool:
        """Whether it is ECR's, and is shown AWS's tokens."""
        return self._is_trusted(self.host)

    def repository(self, name: str) -> str:
        """The full repository for images called `name`."""
        return f"{self.place}/{name}"

    def ensure(self, repository: str) -> None:
        """Makes the repository where it is missing, if that is allowed.

        Raises:
            RegistryError: there is none, and it is not made; it says what to do.
        """
        if not self._is_trusted(repository.partition("/")[0]):
            return
        with self._lock:
            if repository not in self._there:
                self._ensure(repository)
                self._there.add(repository)

    @property
    def creates(self) -> bool:
        """Whether a repository that is missing is made."""
        return self._create

    def has(self, repository: str) -> bool:
        """Whether the repository is there.

        Raises:
            Refused: AWS does not say.
        """
        host, _, name = repository.partition("/")
        place = self._at(host)
        owner = {"registryId": place.account} if place.account else {}
        try:
            self._account.ecr(
                "describe_repositories", region=place.region, repositoryNames=[name], **owner
            )
        except Refused as exc:
            if exc.code == "RepositoryNotFoundException":
                return False
            raise
        return True

    def credentials(self, host: str) -> Credentials | None:
        """A token for the registry; None where it is not ECR's.

        Raises:
            SettingsError: AWS gives none.
        """
        return self._tokens.of(self._at(host).region) if self._is_trusted(host) else None

    def pod_access(self, mode: Literal["pull", "push"]) -> Sequence[PodPatch]:
        """A pull secret, where one is wanted. Builders log pods in for pushes themselves."""
        if mode == "push":
            return ()
        if self._pull_secret is not None:
            return (pods.pull_by_reference(self._pull_secret),)
        if not self._make_pull_secret or not self.takes_tokens:
            return ()
        token = self._tokens.of(self._at(self.host).region)
        return (pods.pull_by_value(logins.pull_secret(pods.PULL, {self.host: token})),)

    def _is_own(self, host: str) -> bool:
        return self._said is not None and host == self._said.partition("/")[0]

    def _is_trusted(self, host: str) -> bool:
        """Whether AWS's tokens may be shown to it."""
        is_elsewhere = self._account.has_own_ecr and self._is_own(host)
        return is_elsewhere or hosts.place_of(host) is not None

    def _at(self, host: str) -> Place:
        """Whose registry `host` is: by its name, else the session's."""
        return hosts.place_of(host) or Place("", self._account.region)

    def _ensure(self, repository: str) -> None:
        host, _, name = repository.partition("/")
        place = self._at(host)
        try:
            if self.has(repository):
                return
        except Refused as exc:
            if not faults.is_denied(exc.code):
                raise _failed(f"{repository} can't be looked up", exc, host) from exc
            # Who may push need not be allowed to look; the push tells.
            logger.info("whether %s is there is not known: %s", repository, exc)
            return
        what = f"there is no repository {name!r} in {host}"
        make = f"aws ecr create-repository --region {place.region} --repository-name {name}"
        if not self._create:
            raise errors.RegistryError(
                f"{what}, and create_repository is false; make it: {make}", host=host
            )
        if place.account and place.account != self._account.number():
            raise errors.RegistryError(
                f"{what}, which is not your account's: have its owner make it", host=host
            )
        try:
            self._account.ecr("create_repository", region=place.region, repositoryName=name)
        except Refused as exc:
            if exc.code == "RepositoryAlreadyExistsException":  # somebody else was quicker
                return
            told = f"{what}, and it can't be made (ecr:CreateRepository)"
            raise _failed(told, exc, host, f"have it made: {make}") from exc
        logger.info("made the repository %s", repository)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._said or self._account!r})"


def _failed(what: str, exc: Refused, host: str, cure: str = "") -> errors.RegistryError:
    kind = errors.RegistryDenied if faults.cure(exc.code) else errors.RegistryError
    return kind(f"{what}: {exc}{cure and f'; or {cure}'}", host=host, code=exc.code or None)
