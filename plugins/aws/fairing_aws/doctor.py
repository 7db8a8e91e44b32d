"""What `fairing doctor` looks at: who you are in AWS, the bucket, the registry, who pods are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fairing_aws import pods
from fairing_aws._sdk import Account, Refused
from fairing_aws.ecr import ECRRegistry
from fairing_core import Check, RegistryAccess, checks, errors
from fairing_core.s3 import S3Store

ReadObject = Callable[[str, str], Mapping[str, object]]

_ANY_IMAGE = "fairing-job"
_IRSA = "eks.amazonaws.com/role-arn"
"""The annotation by which a service account has a role. Source: Amazon EKS user guide."""


class Doctor:
    """Looks at what runs in AWS need; what it writes, it deletes.

    Args:
        account: who asks.
        store: where contexts go; None is nowhere.
        registry: where images go.
        registries: how that is reached.
        read: gives an object of the runs' namespace, by kind and name.
    """

    def __init__(
        self,
        account: Account,
        store: S3Store | None,
        registry: ECRRegistry,
        registries: Mapping[str, RegistryAccess],
        read: ReadObject,
    ) -> None:
        self._account = account
        self._store = store
        self._registry = registry
        self._registries = registries
        self._read = read

    def identity(self) -> Sequence[Check]:
        """Who you are, and what you may: nothing more where AWS does not know you."""
        try:
            told = f"{self._account.arn()}, by {self._account.origin()}"
            told += f"; region {self._account.region}"
        except errors.SettingsError as exc:
            return (Check("aws", False, str(exc)),)
        return (Check("aws", True, told), self._bucket(), *self._repository())

    def pods(
        self, accounts: Mapping[str, str | None], secret: str | None, pull_secret: str | None
    ) -> Sequence[Check]:
        """What builds and runs have of AWS.

        Args:
            accounts: the service account of each, by what it is for.
            secret: the Secret with keys.
            pull_secret: the Secret by which nodes pull.
        """
        found = []
        for account in dict.fromkeys(filter(None, accounts.values())):
            uses = [use for use, one in accounts.items() if one == account]
            found.append(self._role(account, " and ".join(uses)))
        if secret is not None:
            found.append(self._secret("keys of pods", secret, pods.ENTRIES))
        if pull_secret is not None:
            found.append(self._secret("pull secret", pull_secret, (".dockerconfigjson",)))
        if not found:
            told = "no service_account and no secret is named: pods have what their nodes have"
            found.append(Check("pods", None, told))
        return found

    def _bucket(self) -> Check:
        if self._store is None:
            told = "none is set, so only small build contexts reach a cluster: bucket"
            return Check("store", None, told)
        return checks.store(self._store)

    def _repository(self) -> Sequence[Check]:
        """Whether images can be pushed; a repository that will be made is not made now."""
        try:
            repository = self._registry.repository(_ANY_IMAGE)
            if not self._registry.takes_tokens:
                return (self._push(repository),)
            self._registry.credentials(self._registry.host)
            is_there = self._registry.has(repository)
        except (errors.SettingsError, Refused) as exc:
            return (Check("ecr", False, str(exc)),)
        login = Check("ecr", True, f"{self._registry.place}: you are logged in by AWS")
        if is_there:
            return (login, self._push(repository))
        if self._registry.creates:
            told = f"{repository} is not there yet; the first push makes it (ecr:CreateRepository)"
            return (login, Check("push", None, told))
        told = f"{repository} is not there, and create_repository is false: make it"
        return (login, Check("push", False, told))

    def _push(self, repository: str) -> Check:
        return checks.push(repository, registries=self._registries, registry=self._registry)

    def _role(self, account: str, uses: str) -> Check:
        name = f"role of {uses}"
        try:
            found = self._read("serviceaccounts", account)
        except errors.ObjectNotFound as exc:
            cure = f"make it: kubectl create serviceaccount {account}"
            return Check(name, False, f"{exc}; {cure}")
        except errors.ClusterError as exc:
            return Check(name, None, f"{account!r} can't be looked at: {exc}")
        meta = found.get("metadata")
        notes = meta.get("annotations") if isinstance(meta, Mapping) else None
        role = (notes or {}).get(_IRSA)
        if role:
            return Check(name, True, f"{account!r} has {role}")
        told = (
            f"{account!r} has no annotation {_IRSA}; it has a role only if an EKS Pod Identity "
            "association names it"
        )
        return Check(name, None, told)

    def _secret(self, name: str, secret: str, entries: Sequence[str]) -> Check:
        try:
            data = self._read("secrets", secret).get("data") or {}
        except errors.ObjectNotFound as exc:
            return Check(name, False, f"{exc}; make it, with {' and '.join(entries)}")
        except errors.ClusterError as exc:
            return Check(name, None, f"{secret!r} can't be looked at: {exc}")
        assert isinstance(data, Mapping)
        lacking = [entry for entry in entries if entry not in data]
        if lacking:
            return Check(name, False, f"{secret!r} has no {' and no '.join(lacking)}")
        return Check(name, True, f"pods have those of {secret!r}")
