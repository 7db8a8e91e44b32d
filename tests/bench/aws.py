"""AWS, as far as Fairing needs it: STS, IAM and ECR of moto, a registry, S3 before MinIO."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.bench import aws_roles, aws_tokens, bases, certificates, minio, minio_users, tools
from tests.bench.aws_front import ACCOUNT, REGION, UNSIGNED
from tests.bench.bench import Bench, write
from tests.bench.kubernetes import cluster, network, runtime
from tests.bench.part import Part
from tests.bench.registry import ROOT, Registry, Variant, storage

PART = "aws"
VARIANT = Variant(part=PART, auth="basic", inside=True)
_LAYOUT = replace(bases.LAYOUT, variants=(VARIANT,))


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody whom STS, ECR and S3 know by the same keys."""

    name: str
    access_key: str
    secret_key: str = field(repr=False)

    @property
    def environ(self) -> dict[str, str]:
        """As SDKs read it."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}


@dataclass(frozen=True, kw_only=True)
class Aws:
    """The account. Clients and pods call all of it by the same addresses."""

    bench: Bench
    url: str
    """STS's, IAM's and ECR's API."""
    s3_url: str
    registry: Registry
    account: str = ACCOUNT
    region: str = REGION

    @property
    def folder(self) -> Path:
        """Where the part keeps its keys."""
        return self.bench.folder(PART)

    def client(self, service: str) -> Any:
        """boto3's client of STS, IAM or ECR, as the administrator."""
        import boto3

        keys = json.loads((self.folder / "admin.json").read_text())
        return boto3.Session().client(
            service, endpoint_url=self.url, region_name=self.region, **keys
        )

    def user(self, name: str, *actions: str, buckets: Sequence[str] = ()) -> User:
        """A new user, who may do those actions of STS and ECR, and all in those buckets."""
        return self.user_by_policy(
            name,
            {"Effect": "Allow", "Action": list(actions), "Resource": "*"} if actions else None,
            ["s3:*"],
            [f"{bucket}{rest}" for bucket in buckets for rest in ("", "/*")],
        )

    def user_by_policy(
        self,
        name: str,
        statement: Mapping[str, Any] | None,
        s3_actions: Sequence[str],
        on: Sequence[str],
    ) -> User:
        """A new user with a statement of IAM's, and those actions of S3 on buckets and objects."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        if statement:
            text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=text)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        user = User(name=name, access_key=made["AccessKeyId"], secret_key=made["SecretAccessKey"])
        policy = minio_users.policy(s3_actions, on) if on else None
        minio_users.add(minio.store(self.bench), user.access_key, user.secret_key, policy)
        return user

    def role(self, name: str, *s3_actions: str, on: Sequence[str]) -> str:
        """A role for pods, with those rights in S3; its ARN."""
        aws_roles.make(self.bench, self.folder, name, s3_actions, on)
        return f"arn:aws:iam::{self.account}:role/{name}"

    def repositories(self) -> set[str]:
        """The names of ECR's."""
        pages = self.client("ecr").get_paginator("describe_repositories").paginate()
        return {one["repositoryName"] for page in pages for one in page["repositories"]}

    def docker_config(self, *, seconds: float = aws_tokens.SECONDS) -> str:
        """A config.json with a token that ends so many seconds from now."""
        password = aws_tokens.password(self.folder, seconds=seconds)
        entry = {"username": aws_tokens.USER, "password": password}
        return json.dumps({"auths": {self.registry.name: entry}})


def found(bench: Bench) -> Aws:
    """The part as tests use it."""
    name = f"{network.NODE}:{bench.port(f'{PART}-registry')}"
    return Aws(
        bench=bench,
        url=f"http://{network.NODE}:{bench.port(PART)}",
        s3_url=f"http://{network.NODE}:{bench.port(f'{PART}-s3')}",
        registry=Registry(
            name=name,
            node_name=name,
            node_url=f"https://{name}",
            ca=certificates.authority(bench).certificate,
            users={},
        ),
    )


def _start(bench: Bench, name: str) -> None:
    folder = bench.folder(name)
    aws = found(bench)
    certificates.issue(bench, folder, [network.NODE])
    aws_tokens.key(folder)
    _LAYOUT.start(bench, name)
    hosts = cluster.place(bench).hosts / aws.registry.node_name / "hosts.toml"
    write(hosts, runtime.registry_hosts(aws.registry.node_url, aws.registry.ca))
    moto, behind = str(bench.port(f"{name}-moto")), bench.port(f"{name}-behind")
    config = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "text"},
        "storage": {
            "filesystem": {"rootdirectory": str(storage(bench, name).parents[2])},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"127.0.0.1:{behind}", "relativeurls": True, "secret": "bench"},
    }
    file = write(folder / "config.json", json.dumps(config, indent=1))

    def run(process: str, words: Sequence[str | Path], **environ: str) -> None:
        command = network.inside(bench, words)
        bench.processes.start(process, command, part=name, environ=environ)

    run(f"{name}-registry", [bench.bin / "registry", "serve", file], OTEL_TRACES_EXPORTER="none")
    words = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", moto]
    run(f"{name}-moto", words, INITIAL_NO_AUTH_ACTION_COUNT=str(UNSIGNED))
    bench.wait(lambda: _moto(bench, moto), seconds=60, what="moto")
    ports = (bench.port(one) for one in (name, f"{name}-registry", f"{name}-s3"))
    tail = [*map(str, ports), moto, str(behind), str(bench.port(minio.PART))]
    front: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.bench.aws_front",
        folder,
        network.NODE,
        *tail,
    ]
    run(name, front, PYTHONPATH=str(ROOT))


def _moto(bench: Bench, port: str) -> str | None:
    """None once moto answers, inside of the network."""
    import subprocess

    ask = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{port}/moto-api/', timeout=5)"
    command = network.inside(bench, [sys.executable, "-c", ask])
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return None if done.returncode == 0 else done.stderr[-200:]


def _ready(bench: Bench, name: str) -> str | None:
    try:
        with urllib.request.urlopen(found(bench).url, timeout=5):
            return None
    except OSError as exc:
        return f"{found(bench).url}: {exc}"


def _environment(bench: Bench) -> Mapping[str, str]:
    aws = found(bench)
    return {
        "FAIRING_BENCH_AWS_URL": aws.url,
        "FAIRING_BENCH_AWS_S3_URL": aws.s3_url,
        "FAIRING_BENCH_AWS_REGISTRY": aws.registry.name,
    }


AWS = Part(
    name=PART,
    about="STS, IAM and ECR (moto, keys and policies checked), ECR's registry, S3 before MinIO",
    start=_start,
    ready=_ready,
    environment=_environment,
    needs=("network", minio.PART, "bases"),
    binaries=(tools.REGISTRY,),
    root=True,
)
