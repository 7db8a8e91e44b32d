"""Roles that pods take on by their service account, as EKS has it: IRSA.

The token is the cluster's own, and the cluster is asked whether it is good; the keys are those of a
session at MinIO, which knows what the role may do in S3.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from tests.bench import aws_tokens, minio, minio_users
from tests.bench.bench import Bench

AUDIENCE = "sts.amazonaws.com"
ANNOTATION = "eks.amazonaws.com/role-arn"
FOLDER = "/var/run/secrets/eks.amazonaws.com/serviceaccount"


def secret_of(folder: Path, name: str) -> str:
    """The secret key of the user of MinIO that stands for a role."""
    return hmac.new(aws_tokens.key(folder).encode(), name.encode(), hashlib.sha256).hexdigest()[:40]


def make(bench: Bench, folder: Path, name: str, actions: Sequence[str], on: Sequence[str]) -> None:
    """Has MinIO know what the role may do."""
    policy = minio_users.policy(actions, on)
    minio_users.add(minio.store(bench), name, secret_of(folder, name), policy)


def webhook(role_arn: str, sts: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What EKS's webhook adds to pods whose service account has that role: spec and container."""
    projected = {"serviceAccountToken": {"audience": AUDIENCE, "path": "token"}}
    volume = {"name": "aws-iam-token", "projected": {"sources": [projected]}}
    env = {
        "AWS_ROLE_ARN": role_arn,
        "AWS_WEB_IDENTITY_TOKEN_FILE": f"{FOLDER}/token",
        "AWS_ENDPOINT_URL_STS": sts,
    }
    mount = {"name": "aws-iam-token", "mountPath": FOLDER, "readOnly": True}
    return {"volumes": [volume]}, {
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "volumeMounts": [mount],
    }


def assumed(bench: Bench, folder: Path, role_arn: str, token: str) -> tuple[int, str]:
    """STS's answer to AssumeRoleWithWebIdentity: a status, and XML."""
    from dataclasses import replace

    from tests.bench.kubernetes import cluster

    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [AUDIENCE]},
    }
    told = cluster.kubectl(
        bench, "create", "--filename=-", "--output=json", stdin=json.dumps(review)
    )
    status = json.loads(told)["status"]
    if not status.get("authenticated"):
        return 400, _error("InvalidIdentityToken", "the cluster does not know the token")
    _, _, namespace, account = status["user"]["username"].split(":")
    words = (f"--namespace={namespace}", "get", "serviceaccount", account, "--output=json")
    notes = json.loads(cluster.kubectl(bench, *words))["metadata"].get("annotations", {})
    if notes.get(ANNOTATION) != role_arn:
        return 403, _error("AccessDenied", "Not authorized to perform AssumeRoleWithWebIdentity")
    name = role_arn.rpartition("/")[2]
    as_role = replace(minio.store(bench), access_key=name, secret_key=secret_of(folder, name))
    keys = as_role.client("sts").assume_role(
        RoleArn=role_arn, RoleSessionName="pod", DurationSeconds=900
    )["Credentials"]
    words_of = {**keys, "Expiration": keys["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in words_of.items())
    return 200, (
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<AssumeRoleWithWebIdentityResult><Credentials>{inner}</Credentials>"
        f"<AssumedRoleUser><Arn>{escape(role_arn)}</Arn><AssumedRoleId>A:pod</AssumedRoleId>"
        "</AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )


def _error(code: str, said: str) -> str:
    return (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{escape(said)}</Message></Error></ErrorResponse>"
    )
