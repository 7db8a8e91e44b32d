"""MinIO, an S3 server, in the bench's network: clients and pods reach it by one address."""

from __future__ import annotations

import secrets
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.bench import minio_users, tools
from tests.bench.bench import Bench
from tests.bench.kubernetes import network
from tests.bench.part import Part

PART = "minio"
ACCESS_KEY, SECRET_KEY = "bench-root", "bench-root-8Rv3"
REGION = "us-east-1"
SETTINGS = {
    "MINIO_BROWSER": "off",
    "MINIO_UPDATE": "off",
    "MINIO_CI_CD": "1",  # else it wants a disk of its own
    "MINIO_REGION": REGION,
}


@dataclass(frozen=True, kw_only=True)
class Store:
    """An S3 server, and whose keys are shown to it."""

    url: str
    """Its address for clients on this machine."""
    pod_url: str
    """Its address for pods."""
    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    """Only temporary credentials have one."""
    region: str = REGION

    def client(self, service: str = "s3") -> Any:
        """A boto3 client that tries once; of `service`, which may be `sts`."""
        import boto3
        from botocore.config import Config

        return boto3.Session().client(
            service,
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.session_token or None,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                connect_timeout=5,
                read_timeout=30,
            ),
        )

    def user(self, *actions: str, on: Sequence[str]) -> Store:
        """The store as a new user sees it, who may only do such as ``s3:GetObject``.

        `on` are buckets and objects: ``["models", "models/*"]``. Without actions it may nothing.
        """
        name, secret = f"user-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
        minio_users.add(self, name, secret, minio_users.policy(actions, on) if actions else None)
        return replace(self, access_key=name, secret_key=secret)

    def session(self, *actions: str, on: Sequence[str], seconds: int = 900) -> Store:
        """The store by temporary credentials, which may do those of our actions; 900 s at least."""
        told = self.client("sts").assume_role(
            RoleArn="arn:aws:iam::0:role/bench",  # asked for, and then not used
            RoleSessionName="bench",
            DurationSeconds=seconds,
            Policy=minio_users.policy(actions, on),
        )["Credentials"]
        return replace(
            self,
            access_key=told["AccessKeyId"],
            secret_key=told["SecretAccessKey"],
            session_token=told["SessionToken"],
        )


def store(bench: Bench) -> Store:
    """The server as root sees it."""
    url = f"http://{network.NODE}:{bench.port(PART)}"
    return Store(url=url, pod_url=url, access_key=ACCESS_KEY, secret_key=SECRET_KEY)


def asked(url: str) -> str | None:
    """None when the server at `url` is ready, else what it said."""
    try:
        with urllib.request.urlopen(f"{url}/minio/health/ready", timeout=5):
            return None
    except OSError as exc:  # HTTPError is one
        return f"{url}: {exc}"


def _start(bench: Bench, name: str) -> None:
    folder = bench.folder(name)
    at = store(bench).url.removeprefix("http://")
    command: list[str | Path] = [bench.bin / "minio", "server", "--quiet", "--address", at]
    command += ["--certs-dir", folder / "certs", folder / "data"]
    environ = {
        **SETTINGS,
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "HOME": str(folder),
    }
    bench.processes.start(name, network.inside(bench, command), part=name, environ=environ)


def _environment(bench: Bench) -> Mapping[str, str]:
    found = store(bench)
    return {
        "FAIRING_BENCH_MINIO_URL": found.url,
        "FAIRING_BENCH_MINIO_ACCESS_KEY": found.access_key,
        "FAIRING_BENCH_MINIO_SECRET_KEY": found.secret_key,
        "FAIRING_BENCH_MINIO_REGION": found.region,
    }


MINIO = Part(
    name=PART,
    about="MinIO, an S3 server on plain http, for clients and the cluster",
    start=_start,
    ready=lambda bench, name: asked(store(bench).url),
    environment=_environment,
    needs=("network",),
    binaries=(tools.MINIO,),
    root=True,
)
