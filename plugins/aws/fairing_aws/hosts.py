"""The names of ECR's registries: pure functions."""

from __future__ import annotations

import re
from typing import NamedTuple

# Source: amazon-ecr-credential-helper, ecr-login/api, ecrPattern.
_HOST = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9][a-z0-9-]*)"
    r"\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)"
    r"|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)

# Source: botocore 1.40, data/endpoints.json and partitions.json, dnsSuffix.
_SUFFIXES = {
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
}


class Place(NamedTuple):
    """Whose registry it is, and where."""

    account: str
    region: str


def suffix_of(partition: str) -> str:
    """What the names of hosts end with in a partition, as AWS calls it."""
    return _SUFFIXES.get(partition, "amazonaws.com")


def place_of(host: str) -> Place | None:
    """What a registry's name says of it; None is not ECR's."""
    found = _HOST.fullmatch(host)
    return None if found is None else Place(found["account"], found["region"])
