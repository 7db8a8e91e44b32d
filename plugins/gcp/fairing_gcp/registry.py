"""The registry: Artifact Registry, and the gcr.io names that it serves now."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from fairing_core import Credentials, OwnedSecret, PodPatch, errors, logins
from fairing_gcp import _sdk, login, pods
from fairing_gcp._sdk import Google

logger = logging.getLogger(__name__)

API = "https://artifactregistry.googleapis.com"
PULL = "pull"

_OWN = re.compile(r"(?:[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io)")
# Source: Artifact Registry, transition from Container Registry: where each name's repository is.
_GCR = {"gcr.io": "us", "us.gcr.io": "us", "eu.gcr.io": "europe", "asia.gcr.io": "asia"}
_PATIENCE = 60.0  # seconds in which a repository that is made has to be there

Where = Callable[[], tuple[str, str]]
"""Gives project and location; may ask."""


def is_googles(host: str) -> bool:
    """Whether `host` is one of Google's registries."""
    return _OWN.fullmatch(host) is not None


class Repository(NamedTuple):
    """A repository of Artifact Registry, as its API calls it."""

    project: str
    location: str
    name: str

    @classmethod
    def of(cls, place: str) -> Repository | None:
        """That of ``host/path``; None where the host is not Google's, or the path is too short."""
        host, _, path = place.partition("/")
        parts = path.split("/")
        if host in _GCR:
            return cls(parts[0], _GCR[host], host) if parts[0] else None
        if host.endswith("-docker.pkg.dev") and len(parts) > 1:
            return cls(parts[0], host.removesuffix("-docker.pkg.dev"), parts[1])
        return None

    @property
    def parent(self) -> str:
        """Where it is."""
        return f"projects/{self.project}/locations/{self.location}/repositories"

    @property
    def made_by(self) -> str:
        """The command that makes it."""
        return (
            f"gcloud artifacts repositories create {self.name} --repository-format=docker "
            f"--project={self.project} --location={self.location}"
        )


class GoogleRegistries:
    """Any registry of Google's: whoever names one, gets a token for it."""

    def __init__(self) -> None:
        self._google = Google()

    @classmethod
    def serves(cls, host: str) -> bool:
        """Whether `host` is ``LOCATION-docker.pkg.dev``, or a gcr.io name."""
        return is_googles(host)

    def repository(self, name: str) -> str:
        """Which one is meant, nobody has said."""
        raise errors.SettingsError(
            f"which repository of Artifact Registry {name!r} goes to is not said: name "
            "LOCATION-docker.pkg.dev/PROJECT/REPOSITORY, or use the backend 'gcp'"
        )

    def ensure(self, repository: str) -> None:
        """Makes the repository, where it is missing."""
        ensure(self._google, repository)

    def credentials(self, host: str) -> Credentials | None:
        """An access token.

        Raises:
            NotLoggedIn: there are no credentials, or they have expired.
        """
        return self._google.for_registries() if is_googles(host) else None

    def pod_access(self, mode: Literal["pull", "push"]) -> Sequence[PodPatch]:
        """Nothing: GKE's nodes have an identity of their own."""
        return ()


class ArtifactRegistry:
    """A repository of Artifact Registry, and how it is logged in to.

    Args:
        project: whose repository it is.
        location: where it is, such as ``europe-west3``.
        repository: its name.
        place: instead of the three, ``LOCATION-docker.pkg.dev/PROJECT/REPOSITORY[/path]``,
            ``gcr.io/PROJECT[/path]``, or a place in another registry.
        token_host: another registry, ``host[:port]``, that gets Google's tokens: a proxy before
            Artifact Registry. Tokens go to Google's own registries and to that one only.
        create_repository: whether `ensure` makes it where it is missing.
        pull_secret: the Secret by which nodes pull; GKE's need none.
        make_pull_secret: whether one is made, for each run, of a token that is good for an hour.
        google: who asks; by default Google's default credentials.
        where: gives project and location where they are not said.
        api_url: where Artifact Registry's API answers.

    Example:
        >>> from fairing_gcp import ArtifactRegistry
        >>> registry = ArtifactRegistry(project="lab-1", location="europe-west3")
        >>> registry.repository("train")
        'europe-west3-docker.pkg.dev/lab-1/fairing/train'
    """

    def __init__(
        self,
        *,
        project: str | None = None,
        location: str | None = None,
        repository: str = "fairing",
        place: str | None = None,
        token_host: str | None = None,
        create_repository: bool = True,
        pull_secret: str | None = None,
        make_pull_secret: bool = False,
        google: Google | None = None,
        where: Where | None = None,
        api_url: str = API,
    ) -> None:
        self._project = project
        self._location = location
        self._repository = repository
        self._place = None if place is None else place.rstrip("/")
        self._token_host = token_host
        self._create = create_repository
        self._pull_secret = pull_secret
        self._make_pull_secret = make_pull_secret
        self._google = google or Google()
        self._where = where or self._usual
        self._api_url = api_url
        self._ensured: set[str] = set()

    @property
    def place(self) -> str:
        """Where images are pushed, ``host/path``.

        Raises:
            SettingsError: project or location is known to nobody.
        """
        if self._place is None:
            project, location = self._project, self._location
            if project is None or location is None:
                found = self._where()
                project, location = project or found[0], location or found[1]
            self._place = f"{location}-docker.pkg.dev/{project}/{self._repository}"
        return self._place

    @property
    def host(self) -> str:
        """The registry."""
        return self.place.partition("/")[0]

    @property
    def pull_secret(self) -> str | None:
        """The Secret by which nodes pull, if one is named."""
        return self._pull_secret

    @property
    def takes_tokens(self) -> bool:
        """Whether Google's tokens are shown to it."""
        return self._is_trusted(self.host)

    def serves(self, host: str) -> bool:
        """Whether `host` is this registry."""
        if self._place is None and not host.endswith("-docker.pkg.dev"):
            return False
        return host == self.host

    def repository(self, name: str) -> str:
        """The full repository for images called `name`."""
        return f"{self.place}/{name}"

    def ensure(self, repository: str) -> None:
        """Makes the repository, where it is missing and `create_repository` allows it.

        Raises:
            RegistryError: it is missing, or may not be seen or made.
        """
        if repository in self._ensured:
            return
        try:
            ensure(self._google, repository, api_url=self._api_url, create=self._create)
        except errors.RegistryDenied as exc:
            # Nobody is logged in to Google here, but to the registry: its pushes will tell.
            if not isinstance(exc.__cause__, login.NotLoggedIn) or not logins.login(repository):
                raise
            logger.info("whether %s is there is not known: %s", repository, exc)
        self._ensured.add(repository)

    def is_there(self) -> bool | None:
        """Whether the repository is; None where only its pushes can tell.

        Raises:
            RegistryError: it may not be seen, or Google can't be asked.
        """
        found = Repository.of(self.place)
        return None if found is None else seen(self._google, found, api_url=self._api_url)

    def credentials(self, host: str) -> Credentials | None:
        """An access token, good for nearly an hour.

        Raises:
            NotLoggedIn: there are no credentials, or they have expired.
        """
        return self._google.for_registries() if self._is_trusted(host) else None

    def pod_access(self, mode: Literal["pull", "push"]) -> Sequence[PodPatch]:
        """A pull secret, where one is named or wanted; builders bring what pods push with."""
        if mode == "push":
            return ()
        if self._pull_secret is not None:
            return (pods.pull_by_reference(self._pull_secret),)
        if not self._make_pull_secret or not self.takes_tokens:
            return ()
        made = self._made()
        patch = PodPatch(
            {"imagePullSecrets": [{"name": made.name}]}, secrets=(made,), origin=pods.ORIGIN
        )
        return (patch,)

    def _made(self) -> OwnedSecret:
        return logins.pull_secret(PULL, {self.host: self._google.for_registries()})

    def _is_trusted(self, host: str) -> bool:
        return is_googles(host) or (self._token_host is not None and host == self._token_host)

    def _usual(self) -> tuple[str, str]:
        project = self._project or self._google.project
        if project is None:
            raise login.no_project()
        location = self._location or self._google.location()
        if location is None:
            raise login.no_location()
        return project, location

    def __repr__(self) -> str:
        said = {
            "place": self._place,
            "project": self._project,
            "location": self._location,
            "pull_secret": self._pull_secret,
        }
        words = ", ".join(f"{key}={value!r}" for key, value in said.items() if value is not None)
        return f"{type(self).__name__}({words})"


def ensure(google: Google, repository: str, *, api_url: str = API, create: bool = True) -> None:
    """Makes a repository of Artifact Registry where it is missing; others make theirs themselves.

    Raises:
        RegistryError: it is missing, or may not be seen or made.
    """
    found = Repository.of(repository)
    if found is None or seen(google, found, api_url=api_url):
        return
    host = repository.partition("/")[0]
    if not create:
        raise errors.RegistryError(
            f"{host} has no repository {found.name!r} in the project {found.project!r}, and "
            f"create_repository=False; make it: {found.made_by}",
            host=host,
            status=404,
        )
    made = {"format": "DOCKER", "description": "made by Fairing"}
    url = f"{api_url}/v1/{found.parent}?repositoryId={found.name}"
    status, told = _asked(google, host, "POST", url, made)
    if status not in (200, 409):  # 409: somebody else was quicker
        raise _refused(found, host, status, _sdk.said_in(told), "make")
    end = time.monotonic() + _PATIENCE
    while not seen(google, found, api_url=api_url):
        if time.monotonic() > end:
            raise errors.RegistryError(
                f"the repository {found.name!r} of {host} was asked for and is not there after "
                f"{_PATIENCE:.0f} s; look at the project's Artifact Registry",
                host=host,
            )
        time.sleep(1)  # the API makes it in the background, within seconds


def seen(google: Google, repository: Repository, *, api_url: str = API) -> bool:
    """Whether a repository is there.

    Raises:
        RegistryError: it may not be seen, or Google can't be asked.
    """
    host = f"{repository.location}-docker.pkg.dev"
    url = f"{api_url}/v1/{repository.parent}/{repository.name}"
    status, told = _asked(google, host, "GET", url)
    if status not in (200, 404):
        raise _refused(repository, host, status, _sdk.said_in(told), "see")
    return status == 200


def _asked(
    google: Google, host: str, method: str, url: str, body: dict[str, str] | None = None
) -> tuple[int, Mapping[str, Any]]:
    try:
        return google.ask(method, url, body)
    except login.GoogleUnreachable as exc:
        raise errors.RegistryUnreachable(str(exc), host=host) from exc
    except login.NotLoggedIn as exc:
        raise errors.RegistryDenied(str(exc), host=host) from exc


def _refused(
    repository: Repository, host: str, status: int, said: str, verb: str
) -> errors.RegistryError:
    text = (
        f"the repository {repository.name!r} of the project {repository.project!r} in "
        f"{repository.location} can't be {'made' if verb == 'make' else 'seen'}: "
        f"{said.rstrip('.')} (status {status})"
    )
    if status == 401:
        cure = "the token has expired or been revoked: log in again"
        return errors.RegistryDenied(f"{text}; {cure}", host=host, status=status)
    if status == 403:
        cure = (
            "is it the project that you mean (project=...)? Else have it made "
            f"({repository.made_by}), and ask for roles/artifactregistry.writer on it"
        )
        return errors.RegistryDenied(f"{text}; {cure}", host=host, status=status)
    cure = f"is Artifact Registry enabled there, and the location right? Or: {repository.made_by}"
    return errors.RegistryError(f"{text}; {cure}", host=host, status=status)
