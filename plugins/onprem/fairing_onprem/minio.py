"""Kubeflow Fairing's store of build contexts, by the arguments that it had."""

from __future__ import annotations

from fairing_core.s3 import S3Store


class MinioContextSource(S3Store):
    """Kubeflow Fairing's store of build contexts, by the arguments that it had.

    Unlike other stores it makes its bucket, ``kubeflow-<region>``, where that is missing: as the
    original did, and its users expect. The keys reach pods in a Secret, not as the original's in
    plain text.

    Args:
        endpoint_url: where MinIO is served.
        minio_secret: the access key.
        minio_secret_key: its secret half.
        region_name: the region that MinIO states.
        bucket: another bucket.
        pod_endpoint_url: what pods call MinIO; by default the same.

    Example:
        >>> from fairing_onprem import MinioContextSource
        >>> MinioContextSource("http://minio-service.kubeflow:9000", "minio", "minio123", "lab")
        MinioContextSource('s3://kubeflow-lab/fairing-builds/', endpoint_url='http://minio-service.kubeflow:9000', region='lab')
    """  # noqa: E501 - its repr is a line

    def __init__(
        self,
        endpoint_url: str,
        minio_secret: str,
        minio_secret_key: str,
        region_name: str,
        *,
        bucket: str | None = None,
        pod_endpoint_url: str | None = None,
    ) -> None:
        super().__init__(
            bucket=bucket or f"kubeflow-{region_name}",
            endpoint_url=endpoint_url,
            pod_endpoint_url=pod_endpoint_url,
            prefix="fairing-builds/",
            region=region_name,
            access_key=minio_secret,
            secret_key=minio_secret_key,
            create_bucket=True,
        )
