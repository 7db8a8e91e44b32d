"""Stores that speak S3, as MinIO, Ceph and Amazon's own do: a protocol, and no cloud.

boto3 comes with ``pip install 'fairing-core[s3]'``, and is imported at the first request.
"""

from fairing_core.s3.store import S3Store

__all__ = ["S3Store"]
