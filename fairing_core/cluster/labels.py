"""What marks the objects of runs: a run on a cluster is its objects, nothing else."""

from __future__ import annotations

from collections.abc import Mapping

OURS: Mapping[str, str] = {"app.kubernetes.io/managed-by": "fairing"}
"""On every object that Fairing makes (Kubernetes, Recommended Labels)."""

DEPLOYER = "fairing-deployer"
"""What made it: ``job``, ...; the original's label."""

ID = "fairing-id"
"""Which run it belongs to; the original's label."""

BUILDER = "fairing-builder"
"""What builds an image: ``kaniko``, ...; the original's label."""

BUILD_ID = "fairing-build-id"
"""Which build it belongs to; the original's label."""

IMAGE = "fairing-image"
"""An annotation of what builds: the image that it makes."""

CANCELLED = "fairing-cancelled"
"""An annotation: somebody asked for the end."""

STEPS = "fairing-steps"
"""An annotation: what was measured while the run was made, as JSON."""

KEEPER = "fairing-keeper"
"""An annotation of a pod: the command that reaches what keeps its outputs, as JSON."""

OUTPUTS = "fairing-outputs"
"""An annotation of a pod: the URL in a store at which its outputs are."""

JOB_UID = "batch.kubernetes.io/controller-uid"
"""Kubernetes' own, on the pods of a Job."""


def selector(labels: Mapping[str, str]) -> str:
    """As the API takes it."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
