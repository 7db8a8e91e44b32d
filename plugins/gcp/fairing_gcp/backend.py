"""The backend `gcp`: GKE clusters, build contexts in Cloud Storage, images in Artifact Registry."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from fairing_core import Check, KubernetesBackend, PodPatch, RegistryAccess, checks, errors
from fairing_gcp import _sdk, gke, login, pods
from fairing_gcp._sdk import Google
from fairing_gcp.doctor import checks_of_google, checks_of_pods, checks_of_registry, checks_of_store
from fairing_gcp.gcs import GCSStore, identity_of
from fairing_gcp.login import Login
from fairing_gcp.registry import ArtifactRegistry

logger = logging.getLogger(__name__)

REPOSITORY = "fairing"


class GCPBackend(KubernetesBackend):
    """Runs on a Kubernetes cluster in Google Cloud.

    Every setting may be left out. Project and location are then the credentials' own, or what the
    name of the kubeconfig's context says (``gke_PROJECT_LOCATION_NAME``).

    Args:
        kubeconfig: the file that names the cluster; by default ``KUBECONFIG``, else the usual one.
        context: which of its contexts; by default the current one.
        namespace: by default the pod's own, else that of the kubeconfig's context.
        project: the project of bucket and registry.
        location: the location of bucket and registry, e.g. ``europe-west3``.
        bucket: where build contexts and outputs are kept.
        prefix: what all keys begin with.
        create_bucket: whether a bucket that is missing is made.
        repository: the Artifact Registry repository that images are pushed to; by default
            ``fairing``.
        create_repository: whether one that is missing is made.
        image_registry: instead, the whole place: ``LOCATION-docker.pkg.dev/PROJECT/REPOSITORY``,
            ``gcr.io/PROJECT``, or one in another registry.
        token_host: another registry that gets Google's tokens: a proxy before Artifact Registry.
        ca: the certificates (PEM) that the registry is checked with.
        pull_secret: the Secret by which nodes pull; GKE's need none.
        make_pull_secret: whether one is made, for each run, of a token that is good for an hour.
        credentials_file: a service account's key; by default Google's default credentials.
        impersonate: a service account whose identity is taken on.
        service_account: the Kubernetes service account whose identity pods take on.
        secret: the Kubernetes Secret with the key of pods that have no identity.
        secret_entry: which of its entries is the key.
        base_image: what code is put on where nobody says.
        endpoint_url: where an emulator of Cloud Storage is served.
        pod_endpoint_url: what pods call it, where that differs.

    Example:
        >>> from fairing_gcp import GCPBackend
        >>> backend = GCPBackend(project="lab-1", location="europe-west3")
        >>> backend
        GCPBackend(project='lab-1', location='europe-west3')
        >>> backend.registry().repository("train")
        'europe-west3-docker.pkg.dev/lab-1/fairing/train'
    """

    name: ClassVar[str] = "gcp"

    def __init__(
        self,
        *,
        kubeconfig: Path | None = None,
        context: str | None = None,
        namespace: str | None = None,
        project: str | None = None,
        location: str | None = None,
        bucket: str | None = None,
        prefix: str = "fairing/",
        create_bucket: bool = False,
        repository: str | None = None,
        create_repository: bool = True,
        image_registry: str | None = None,
        token_host: str | None = None,
        ca: Path | None = None,
        pull_secret: str | None = None,
        make_pull_secret: bool = False,
        credentials_file: Path | None = None,
        impersonate: str | None = None,
        service_account: str | None = None,
        secret: str | None = None,
        secret_entry: str = pods.ENTRY,
        base_image: str | None = None,
        endpoint_url: str | None = None,
        pod_endpoint_url: str | None = None,
    ) -> None:
        file = None if kubeconfig is None else str(kubeconfig)
        super().__init__(namespace=namespace, config_file=file, context=context)
        self._file, self._context = file, context
        self._project, self._location = project, location
        self._service_account, self._secret = service_account, secret
        self._secret_entry = secret_entry
        self._base_image = base_image
        self._ca = ca
        self._image_registry = image_registry
        self._google = Google(Login(credentials_file=credentials_file, impersonate=impersonate))
        self._found: tuple[PodPatch, ...] | None = None
        self._registry = ArtifactRegistry(
            project=project,
            location=location,
            repository=repository or REPOSITORY,
            place=image_registry,
            token_host=token_host,
            create_repository=create_repository,
            pull_secret=pull_secret,
            make_pull_secret=make_pull_secret,
            google=self._google,
            where=self._where,
        )
        self._store = None
        if bucket is not None:
            self._store = GCSStore(
                bucket=bucket,
                project=project,
                location=location,
                prefix=prefix,
                endpoint_url=endpoint_url,
                pod_endpoint_url=pod_endpoint_url,
                create_bucket=create_bucket,
                google=self._google,
                identity=self._identity,
            )
        self._said = {
            "kubeconfig": file,
            "context": context,
            "namespace": namespace,
            "project": project,
            "location": location,
            "bucket": bucket,
            "repository": repository,
            "image_registry": image_registry,
            "credentials_file": None if credentials_file is None else str(credentials_file),
            "impersonate": impersonate,
            "service_account": service_account,
            "secret": secret,
        }

    def storage(self) -> GCSStore | None:
        """The store, where `bucket` names one."""
        return self._store

    def registry(self) -> ArtifactRegistry:
        """The repository of project and location."""
        return self._registry

    def registries(self) -> Mapping[str, RegistryAccess]:
        """How the registry is reached, where it has certificates of its own."""
        if self._ca is None or self._image_registry is None:
            return {}
        return {self._registry.host: RegistryAccess(ca=self._ca)}

    def base_image(self) -> str | None:
        """What code is put on where nobody says."""
        return self._base_image

    def warm(self) -> None:
        """Gets the connection ready in the background."""
        if self.cluster.lacks() is None:
            _sdk.load()
        super().warm()

    def pod_patches(self, stage: str, image: str) -> Sequence[PodPatch]:
        """Who pods are at Google, at every stage.

        Where neither `service_account` nor `secret` is said: the key in the Secret ``user-gcp-sa``,
        if the namespace has it, else the identity of the service account ``default-editor``, if it
        has that, as in a profile of Kubeflow's.
        """
        return self._identity()

    def check(self) -> Sequence[Check]:
        """The cluster, the rights in it, the login, the bucket, the registry, and pods' login."""
        cluster = super().check()
        well = not any(one.ok is False for one in cluster)
        told: list[Check] = []
        if well and self._store is not None:
            told.append(checks.right(self.cluster, "create", "secrets", "for runs with outputs"))
        who = checks_of_google(self._google, self._project)
        is_known = all(one.ok is not False for one in who)
        return (
            *cluster,
            *told,
            *who,
            *(checks_of_store(self._store) if is_known else ()),
            *(checks_of_registry(self._registry, self.registries()) if is_known else ()),
            *(checks_of_pods(self.cluster, self._secret, self._service_account) if well else ()),
        )

    def _where(self) -> tuple[str, str]:
        """Project and location, of whoever knows them."""
        context = self._context or gke.current_context(self._file)
        of_context = gke.named_in(context)
        project = self._project
        if project is None:
            try:
                project = self._google.project or of_context[0]
            except login.NotLoggedIn:
                project = of_context[0]
                if project is None:
                    raise
        if project is None:
            raise login.no_project()
        location = self._location or gke.region_of_environment() or of_context[1]
        if location is None:
            found = self._google.location()
            location = None if found is None else gke.region(found)
        if location is None:
            raise login.no_location()
        return project, location

    def _identity(self) -> Sequence[PodPatch]:
        if self._service_account is not None or self._secret is not None:
            return identity_of(self._service_account, self._secret, self._secret_entry)
        if self._found is None:
            try:
                self._found = self._looked_for()
            except (errors.NoCluster, errors.ClusterUnreachable):
                return ()
        return self._found

    def _looked_for(self) -> tuple[PodPatch, ...]:
        for kind, name, found in (
            ("secrets", pods.SECRET, identity_of(None, pods.SECRET)),
            ("serviceaccounts", pods.ACCOUNT, identity_of(pods.ACCOUNT, None)),
        ):
            path = f"/api/v1/namespaces/{self.cluster.namespace}/{kind}/{name}"
            try:
                self.cluster.get(path)
            except errors.ObjectNotFound:
                continue
            except errors.ClusterDenied as exc:
                logger.info("whether pods get %s is not known: %s", name, exc)
                continue
            logger.info("pods get their identity at Google from %s (%s)", name, kind)
            return found
        return ()

    def __repr__(self) -> str:
        words = ", ".join(f"{k}={v!r}" for k, v in self._said.items() if v is not None)
        return f"{type(self).__name__}({words})"
