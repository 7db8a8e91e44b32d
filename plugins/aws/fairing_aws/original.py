"""Kubeflow Fairing's names for AWS, over ours."""

from __future__ import annotations

from fairing_aws import pods
from fairing_aws._sdk import Account
from fairing_core import PodPatch


def guess_account_id() -> str:
    """The account of the session's keys.

    Raises:
        SettingsError: there are no keys, or AWS refuses them.
    """
    return Account().number()


add_aws_credentials_if_exists: PodPatch = pods.keys_if_there()
"""For ``pod_spec_mutators``: the keys of the Secret ``aws-secret``, where the namespace has it."""

add_ecr_config: PodPatch = PodPatch(origin=pods.ORIGIN)
"""For ``pod_spec_mutators``: nothing, for the builder `cluster` logs its pods in to ECR itself."""
