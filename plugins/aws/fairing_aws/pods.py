"""What pods need to reach S3 and ECR, by what gives them an identity: pure functions.

IRSA and EKS Pod Identity both go by the service account: what the pod needs beyond its name is put
there by EKS. Source: Amazon EKS user guide, "IAM roles for service accounts", "EKS Pod Identity".
"""

from __future__ import annotations

from fairing_core import OwnedSecret, PodPatch

ORIGIN = "fairing-aws"
PULL = "pull"
SECRET = "aws-secret"  # noqa: S105 - a name
"""The Secret with the keys of pods that Kubeflow Fairing knew."""
ENTRIES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def runs_as(service_account: str) -> PodPatch:
    """The service account whose role the pod takes on."""
    return PodPatch({"serviceAccountName": service_account}, origin=ORIGIN)


def in_region(region: str) -> PodPatch:
    """Where the pod is, for AWS's clients: without it they would sign for none."""
    names = ("AWS_DEFAULT_REGION", "AWS_REGION")
    env = [{"name": name, "value": region} for name in names]
    # Old clients in Go read what EKS's webhooks give, and profiles, only then.
    env.append({"name": "AWS_SDK_LOAD_CONFIG", "value": "true"})
    return PodPatch(container={"env": env}, origin=ORIGIN)


def keys_by_reference(secret: str) -> PodPatch:
    """Keys from a Secret of the namespace, for pods that have no role."""
    refs = {name: {"secretKeyRef": {"name": secret, "key": name}} for name in ENTRIES}
    env = [{"name": name, "valueFrom": ref} for name, ref in refs.items()]
    return PodPatch(container={"env": env}, origin=ORIGIN)


def keys_if_there(secret: str = SECRET) -> PodPatch:
    """As `keys_by_reference`; pods start without them where there is no such Secret."""
    refs = {
        name: {"secretKeyRef": {"name": secret, "key": name, "optional": True}} for name in ENTRIES
    }
    env = [{"name": name, "valueFrom": ref} for name, ref in refs.items()]
    return PodPatch(container={"env": env}, origin=ORIGIN)


def pull_by_reference(secret: str) -> PodPatch:
    """The login for a registry, from a Secret of the namespace."""
    return PodPatch({"imagePullSecrets": [{"name": secret}]}, origin=ORIGIN)


def pull_by_value(made: OwnedSecret) -> PodPatch:
    """The login for a registry, from a Secret that is made for the Job and goes with it."""
    spec = {"imagePullSecrets": [{"name": made.name}]}
    return PodPatch(spec, secrets=(made,), origin=ORIGIN)
