"""What `fairing doctor` looks at: the login, the project, the bucket, the registry, and pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fairing_core import Check, RegistryAccess, checks, errors
from fairing_gcp import login, pods
from fairing_gcp._sdk import Google
from fairing_gcp.gcs import GCSStore
from fairing_gcp.registry import ArtifactRegistry, Repository

if TYPE_CHECKING:
    from fairing_core.cluster.client import Cluster

_ANY_IMAGE = "fairing-job"


def checks_of_google(google: Google, project: str | None) -> Sequence[Check]:
    """Who the user is at Google, and which project is meant."""
    try:
        google.token()
        who = google.email or "you"
        identity = Check("identity", True, f"{who}, by the credentials from {google.origin}")
        theirs = google.project
    except login.NotLoggedIn as exc:
        return (Check("identity", False, str(exc)),)
    if project is None and theirs is None:
        return (identity, Check("project", None, str(login.no_project())))
    also = f"; the credentials are of {theirs!r}" if theirs not in (None, project) else ""
    return (identity, Check("project", True, f"{project or theirs}{also if project else ''}"))


def checks_of_store(store: GCSStore | None) -> Sequence[Check]:
    """Whether objects can be written and read."""
    if store is None:
        told = "none is set, so only small build contexts reach a cluster: bucket=..."
        return (Check("bucket", None, told),)
    found = checks.store(store)
    return (Check("bucket", found.ok, found.detail),)


def checks_of_registry(
    registry: ArtifactRegistry, registries: Mapping[str, RegistryAccess]
) -> Sequence[Check]:
    """Whether the repository is there, and takes the user's pushes."""
    try:
        place = registry.place
    except errors.SettingsError as exc:
        return (Check("repository", False, str(exc)),)
    there: tuple[Check, ...] = ()
    try:
        is_there = registry.is_there()
    except errors.RegistryDenied as exc:
        there = (Check("repository", None, str(exc)),)
    except errors.RegistryError as exc:
        return (Check("repository", False, str(exc)),)
    else:
        if is_there is False:
            named = Repository.of(place)
            assert named is not None
            return (Check("repository", False, f"{place} is not there; make it: {named.made_by}"),)
        if is_there:
            there = (Check("repository", True, place),)
    push = checks.push(registry.repository(_ANY_IMAGE), registries=registries, registry=registry)
    return (*there, push)


def checks_of_pods(
    cluster: Cluster, secret: str | None, service_account: str | None
) -> Sequence[Check]:
    """Who pods are at Google, and whether that is there."""
    said = [("secrets", secret), ("serviceaccounts", service_account)]
    named = [(kind, name) for kind, name in said if name is not None]
    usual = [("secrets", pods.SECRET), ("serviceaccounts", pods.ACCOUNT)]
    found: list[Check] = []
    for kind, name in named or usual:
        try:
            content = cluster.get(f"/api/v1/namespaces/{cluster.namespace}/{kind}/{name}")
        except errors.ObjectNotFound as exc:
            if named:
                found.append(Check("pods", False, f"{exc}; {_made(kind, name)}"))
            continue
        except errors.ClusterError as exc:
            found.append(Check("pods", None, f"{name!r} can't be looked at: {exc}"))
            continue
        found.append(_well(kind, name, content))
        if not named:
            break
    if not found:
        told = "pods have the identity of their nodes alone; name one: service_account=, secret="
        found.append(Check("pods", None, told))
    return found


def _well(kind: str, name: str, content: Mapping[str, object]) -> Check:
    if kind == "secrets":
        return Check("pods", True, f"they have the key of the Secret {name!r}")
    metadata = content.get("metadata")
    notes = metadata.get("annotations") if isinstance(metadata, dict) else None
    account = (notes or {}).get("iam.gke.io/gcp-service-account")
    as_whom = f", who is {account} at Google" if account else ", by what IAM grants to it"
    return Check("pods", True, f"they run as the service account {name!r}{as_whom}")


def _made(kind: str, name: str) -> str:
    if kind == "secrets":
        return f"make it: kubectl create secret generic {name} --from-file={pods.ENTRY}=KEY.json"
    return f"make it: kubectl create serviceaccount {name}"
