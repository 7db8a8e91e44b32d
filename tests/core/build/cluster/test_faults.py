from __future__ import annotations

from pathlib import Path

import pytest

from fairing_core.build.cluster import faults
from fairing_core.build.cluster.faults import fault

S3 = "Error: error resolving source context: operation error S3: GetObject, "
PUSH = "error checking push permissions -- make sure you entered the correct tag name, and try: "
BUILT = "error building image: "
PUSHED = 'Error: pushing image "h/a:1" to "docker://h/a:1": '
FETCHED = "urllib.error.HTTPError: HTTP Error "


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("context-missing", f"{S3}https response error StatusCode: 404, NoSuchKey: "),
        ("context-missing", f"{S3}https response error StatusCode: 404, NoSuchBucket: "),
        ("context-missing", "Error: error resolving source context: storage: object doesn't exist"),
        ("context-missing", f"{FETCHED}404: Not Found"),
        ("context-denied", f"{S3}api error SignatureDoesNotMatch: The request signature"),
        ("context-denied", f"{S3}api error InvalidAccessKeyId: The Access Key Id"),
        ("context-denied", f"{S3}failed to refresh cached credentials, no EC2 IMDS role found"),
        (
            "context-denied",
            "Error: error resolving source context: google: could not find default credentials",
        ),
        ("context-denied", f"{FETCHED}403: Forbidden"),
        ("context-unreachable", f"{S3}exceeded maximum number of attempts, 3, connection refused"),
        ("context-unreachable", f"{S3}lookup bucket.host on 10.96.0.10:53: no such host"),
        (
            "context-unreachable",
            "urllib.error.URLError: <urlopen error [Errno 111] Connection refused>",
        ),
        ("context-cut", "Error: error resolving source context: unexpected EOF"),
        ("context-cut", "tarfile.ReadError: unexpected end of data"),
        ("push-denied", f"{PUSH}creating push check transport for h failed: UNAUTHORIZED: no"),
        ("push-denied", f"{PUSH}POST https://h/v2/a/blobs/uploads/: UNAUTHORIZED: authentication"),
        ("push-denied", f"{PUSHED}trying to reuse blob: unable to retrieve auth token: denied"),
        (
            "registry-untrusted",
            f"{PUSH}tls: failed to verify certificate: x509: certificate signed",
        ),
        ("registry-untrusted", f"{PUSHED}http: server gave HTTP response to HTTPS client"),
        ("registry-unreachable", f"{PUSH}dial tcp 10.0.0.1:1: connect: connection refused"),
        ("registry-unreachable", f"{PUSHED}pinging: dial tcp: lookup nobody: no such host"),
        ("base-not-found", f"{BUILT}GET http://h/v2/a/manifests/1: MANIFEST_UNKNOWN: unknown"),
        ("base-not-found", "Error: reading manifest 1 in h/a: manifest unknown: manifest unknown"),
        ("base-denied", f"{BUILT}GET https://h/v2/a/manifests/1: UNAUTHORIZED: authentication"),
        ("base-denied", "Error: reading manifest 1 in h/a: unauthorized: authentication required"),
        ("run-failed", f"{BUILT}error building stage: waiting for process to exit: exit status 7"),
        ("run-failed", 'Error: building at STEP "RUN false": while running: exit status 1'),
        ("copy-failed", f"{BUILT}failed to get fileinfo for /kaniko/buildcontext/context/nope"),
        ("copy-failed", 'Error: building at STEP "COPY a /b": copier: stat: "/a": no such file'),
        ("dockerfile", f"{BUILT}parsing dockerfile: unknown instruction: FRUM"),
        ("dockerfile", 'Error: building at STEP "FRUM ": Build error: Unknown instruction: "FRUM"'),
        ("disk-full", f"{BUILT}write /x: no space left on device"),
        ("failed", "error: something that nobody has seen"),
    ],
)
def test_each_message_has_its_kind(kind: str, line: str) -> None:
    found = fault(["level=info msg=before", line, ""])
    assert found is not None
    assert found.kind == kind
    assert found.next


def test_an_error_before_seventy_lines_of_usage_is_found() -> None:
    usage = [f"      --flag-{number} string   What it does" for number in range(70)]
    found = fault([f"{S3}NoSuchKey: ", "Usage:", *usage])
    assert found is not None
    assert found.kind == "context-missing"


def test_errors_on_lines_of_their_own_are_read_with_what_announces_them() -> None:
    lines = [f"{PUSHED}writing blob: initiating layer upload: errors:", "denied: requested access"]
    found = fault([*lines, "unauthorized: authentication required", ""])
    assert found is not None
    assert found.kind == "push-denied"


def test_the_last_error_counts() -> None:
    found = fault(
        ["error: a pip that retries", f"{BUILT}waiting for process to exit: exit status 1"]
    )
    assert found is not None
    assert found.kind == "run-failed"


def test_a_base_without_pip_is_told_apart() -> None:
    ending = f"{BUILT}waiting for process to exit: exit status 1"
    found = fault(["/usr/bin/python3: No module named pip", ending])
    assert found is not None
    assert "base_image=" in found.next


def test_a_log_without_an_error_tells_none() -> None:
    assert fault([]) is None
    assert fault(["all is well"]) is None


def test_a_message_is_cut_at_some_length() -> None:
    found = fault([f"error: {'x' * 5000}"])
    assert found is not None
    assert len(found.cause) < 600


def test_the_page_of_builders_names_every_kind() -> None:
    page = (Path(__file__).parents[4] / "docs" / "builders.md").read_text(encoding="utf-8")
    assert [rule.kind for rule in faults._RULES if f"`{rule.kind}`" not in page] == []
