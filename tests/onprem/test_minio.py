"""The original's store of contexts as it is made: nothing here is asked of anybody."""

from __future__ import annotations

import inspect

from fairing_onprem import MinioContextSource


def test_the_originals_source_takes_its_four_arguments() -> None:
    given = ("http://minio-service.kubeflow:9000", "minio", "s3cr3t", "lab")
    made = MinioContextSource(*given)
    assert made.url("0c1d") == "s3://kubeflow-lab/fairing-builds/0c1d"
    assert "s3cr3t" not in repr(made)
    positional = [
        name
        for name, one in inspect.signature(MinioContextSource).parameters.items()
        if one.kind is one.POSITIONAL_OR_KEYWORD and one.default is one.empty
    ]
    assert positional == ["endpoint_url", "minio_secret", "minio_secret_key", "region_name"]
    named = MinioContextSource(**dict(zip(positional, given, strict=True)))
    assert named.url("") == made.url("")
