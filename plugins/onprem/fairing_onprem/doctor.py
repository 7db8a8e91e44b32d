"""What `fairing doctor` looks at: the store and the registry, from here and from pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from fairing_core import Check, Credentials, RegistryAccess, checks, errors, logins
from fairing_core.s3 import S3Store
from fairing_onprem.registry import PlainRegistry

ReadSecret = Callable[[str], Mapping[str, bytes]]

_LOOPBACK = ("localhost", "127.", "::1")
_ANY_IMAGE = "fairing-job"


def checks_of_store(store: S3Store | None, read_secret: ReadSecret) -> Sequence[Check]:
    """Whose keys, whether objects can be written and read, and what pods have of both."""
    if store is None:
        told = "none is set, so only small build contexts reach a cluster: endpoint_url, bucket"
        return (Check("store", None, told),)
    try:
        keys = Check("store keys", True, f"from {store.keys_from()}")
    except (errors.StorageError, errors.SettingsError) as exc:
        return (Check("store keys", False, str(exc)), *_of_pods(store, read_secret))
    return (keys, checks.store(store), *_of_pods(store, read_secret))


def _of_pods(store: S3Store, read_secret: ReadSecret) -> Sequence[Check]:
    endpoint = store.pod_endpoint
    host = "" if endpoint is None else urlsplit(endpoint).hostname or ""
    if host.startswith(_LOOPBACK):
        told = f"pods don't reach {endpoint}, which is this machine: say what they call it"
        address = Check("store for pods", False, f"{told}, pod_endpoint_url=...")
    else:
        told = f"pods call it {endpoint or 'Amazon S3'}; whether they reach it, a build shows"
        address = Check("store for pods", True, told)
    return (address, _secret(store, read_secret))


def _secret(store: S3Store, read_secret: ReadSecret) -> Check:
    name, entries = store.secret, store.secret_entries
    if name is None or entries is None:
        told = "none is named, so each build has one of its own, which goes with it"
        return Check("store secret", True, told)
    try:
        content = read_secret(name)
    except errors.ObjectNotFound as exc:
        told = (
            f"{exc}; make it: kubectl create secret generic {name} "
            f"--from-literal={entries[0]}=... --from-literal={entries[1]}=..."
        )
        return Check("store secret", False, told)
    except errors.ClusterError as exc:
        return Check("store secret", None, f"{name!r} can't be looked at: {exc}")
    lacking = [entry for entry in entries if entry not in content]
    if lacking:
        there = ", ".join(sorted(content)) or "nothing"
        told = f"{name!r} has no {' and no '.join(lacking)}, but {there}: secret_entries=..."
        return Check("store secret", False, told)
    return Check("store secret", True, f"pods have the keys of {name!r}")


def checks_of_registry(
    registry: PlainRegistry | None,
    registries: Mapping[str, RegistryAccess],
    pull_secret: str | None,
    read_secret: ReadSecret,
) -> Sequence[Check]:
    """Whether the user may push there, and nodes may pull."""
    if registry is None:
        told = "none is set: image_registry, or FAIRING_REGISTRY for any backend"
        return (Check("registry", None, told),)
    repository = registry.repository(_ANY_IMAGE)
    push = checks.push(repository, registries=registries, registry=registry)
    login: Credentials | None
    if pull_secret is not None:
        found = _of_secret(registry, pull_secret, read_secret)
        if isinstance(found, Check):
            return (push, found)
        login, told = found, f"{pull_secret!r} has a login for {registry.pull_name}"
    elif registry.pod_access("pull"):
        login, told = registry.login(), "one of your own login goes with each run"
    else:
        login, told = None, "there is none: nodes pull without a login, or with their own"
    pull = checks.pull(repository, registries=registries, login=login)
    return (push, Check("pull secret", True, told), pull)


def _of_secret(registry: PlainRegistry, name: str, read_secret: ReadSecret) -> Credentials | Check:
    """The login that the pull secret has, or what is wrong with it."""
    make = f"kubectl create secret docker-registry {name} --docker-server={registry.pull_name}"
    try:
        content = read_secret(name).get(logins.CONFIG, b"")
        image = f"{registry.pull_name}/{registry.repository(_ANY_IMAGE).partition('/')[2]}"
        found = logins.in_pull_secret(content, image, name)
    except errors.ObjectNotFound as exc:
        return Check("pull secret", False, f"{exc}; make it: {make} ...")
    except errors.SettingsError as exc:
        return Check("pull secret", False, str(exc))
    except errors.ClusterError as exc:
        return Check("pull secret", None, f"{name!r} can't be looked at: {exc}")
    if found is None:
        told = f"{name!r} has no login for {registry.pull_name}; make one that has: {make} ..."
        return Check("pull secret", False, told)
    return found
