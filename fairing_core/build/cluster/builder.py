"""The builder ``cluster``: an engine that runs a Dockerfile as a Job, and pushes what it made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fairing_core import errors, names
from fairing_core.build import archive, bases, dockerfile
from fairing_core.build.appending import check_python, may_push, user_check
from fairing_core.build.archive import Archive
from fairing_core.build.cluster import forecast, job
from fairing_core.build.cluster.engines import BELOW, ENGINES, Engine, Order
from fairing_core.build.cluster.job import Supply
from fairing_core.build.cluster.logins import for_nodes, for_pods, logins
from fairing_core.build.cluster.renewal import Renewal
from fairing_core.build.cluster.run import BuildRun, ending_by_sigterm
from fairing_core.build.cluster.supply import Parcel
from fairing_core.build.confirm import confirmed
from fairing_core.build.dockerfile import Owner
from fairing_core.build.lacking import check_imports
from fairing_core.build.wanted import IMAGE_NAME, REQUIREMENTS, Wanted, entrypoint_of
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.knobs import pod_patch
from fairing_core.images.facts import Facts
from fairing_core.images.manifest import Platform
from fairing_core.images.reference import ImageRef
from fairing_core.images.session import Session
from fairing_core.interfaces import Storage
from fairing_core.types import (
    BuildRequest,
    Built,
    Check,
    PodPatch,
    PodSpecMutator,
    unheard,
)
from fairing_core.values import replace


class ClusterBuilder:
    """Builds inside the cluster, by kaniko or buildah: for images that need a RUN, without Docker.

    The context goes to the backend's store, if it has one, else along in a Secret, or by stdin
    where it is large. The image is pushed by the engine; that it is there is asked of the registry.

    Args:
        cluster: where it builds; by default what this machine's kubeconfig, or the pod, leads to.
        base_image: what is built on; by default the run's.
        registry: where it is pushed, ``host[:port][/path]``; by default the run's.
        image_name: the repository below `registry`.
        tag: by default one that the content makes.
        push: has to be True: what a cluster builds is nowhere but in a registry.
        dockerfile_path: your own Dockerfile; so is one that `output_map` puts at ``Dockerfile``.
        platform: ``os/architecture[/variant]``.
        user: whom the image runs as: a number, ``number:number``, or a name that the base knows.
        entrypoint: a new ENTRYPOINT; ``[]`` takes the base's away.
        env: environment variables to add to the image.
        labels: labels to add to the image.
        python: the X.Y of the base's Python, where the base does not tell.
        context_source: a store for the context, instead of the backend's.
        engine: ``"kaniko"`` or ``"buildah"``.
        engine_image: the engine's image; each has a default.
        extra_args: more flags for the engine.
        cache_repo: a repository in which kaniko keeps layers for the next build.
        fetch_image: an image with Python, for engines that can't read the context by themselves;
            by default the base image.
        namespace: by default the pod's own, else that of the kubeconfig's context.
        pod_spec_mutators: additions to the build's pod, as `PodPatch` values.
        service_account: what the build's pod runs as.
        image_pull_secrets: Secrets with logins for the engine's image.
        resources: of the build's container, as for the deployer ``job``.
        node_selector: labels that the build's node has to have.
        timeout: seconds that a build may take.
        start_timeout: seconds that its pod may wait for a node and its image.
        cleanup: False keeps the Job for an hour after its end.
    """

    def __init__(
        self,
        cluster: Cluster | None = None,
        /,
        *,
        base_image: str | None = None,
        registry: str | None = None,
        image_name: str = IMAGE_NAME,
        tag: str | None = None,
        push: bool = True,
        dockerfile_path: Path | None = None,
        platform: str = "linux/amd64",
        user: str | None = None,
        entrypoint: str | Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        python: str | None = None,
        context_source: Storage | None = None,
        engine: str = "kaniko",
        engine_image: str | None = None,
        extra_args: Sequence[str] = (),
        cache_repo: str | None = None,
        fetch_image: str | None = None,
        namespace: str | None = None,
        pod_spec_mutators: Sequence[PodPatch | PodSpecMutator] | None = None,
        service_account: str | None = None,
        image_pull_secrets: Sequence[str] | None = None,
        resources: Mapping[str, Any] | None = None,
        node_selector: Mapping[str, str] | None = None,
        timeout: float = 3600,
        start_timeout: float = 300,
        cleanup: bool = True,
    ) -> None:
        if not push:
            raise errors.UnknownOption(
                "push=False: what a cluster builds is nowhere but in a registry; build with "
                "'append' for an OCI layout in a folder, or with 'docker'"
            )
        if engine not in ENGINES:
            raise errors.InvalidArgument(
                f"engine={engine!r} is no engine{errors.near(engine, ENGINES)}"
            )
        if not timeout >= 1 or not start_timeout >= 1:
            raise errors.InvalidArgument(
                f"timeout={timeout!r}, start_timeout={start_timeout!r}: both are 1 s or more"
            )
        if isinstance(extra_args, str):
            raise errors.InvalidArgument(f"extra_args={extra_args!r} is a text; give a list")
        mutators = tuple(pod_spec_mutators or ())
        if functions := [one for one in mutators if not isinstance(one, PodPatch)]:
            raise errors.InvalidArgument(
                f"pod_spec_mutators of a build are PodPatch values, as k8s_utils gives them; "
                f"{functions[0]!r} is none"
            )
        self._cluster = cluster or Cluster()
        self._wanted = Wanted(
            base_image=base_image or None,
            registry=registry,
            image_name=image_name,
            tag=tag,
            platform=Platform.parse(platform),
            user=user,
            entrypoint=entrypoint_of(entrypoint),
            env=dict(env or {}),
            labels=dict(labels or {}),
        )
        self._dockerfile = None if dockerfile_path is None else Path(dockerfile_path)
        self._python = python
        self._store = context_source
        self._engine: Engine = ENGINES[engine]
        self._engine_image = engine_image or self._engine.image
        self._extra_args = tuple(extra_args)
        self._cache = ImageRef.parse(cache_repo) if cache_repo else None
        self._fetch_image = fetch_image
        self._namespace = namespace
        self._knobs = pod_patch(
            resources=resources,
            service_account=service_account,
            image_pull_secrets=image_pull_secrets,
            node_selector=node_selector,
        )
        self._mutators = tuple(one for one in mutators if isinstance(one, PodPatch))
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._cleanup = cleanup

    def supports(self, request: BuildRequest) -> str | None:
        """Why it can't be built, or None; looks at this machine only."""
        own = archive.users_own(request.context, self._dockerfile)
        if own is not None and (conflict := self._wanted.beside_own()):
            return conflict
        if lacking := self._wanted.lacks(request, push=True):
            return lacking
        return self._cluster.lacks()

    def build(self, request: BuildRequest) -> Built:
        """The image, by its digest, once the registry has been asked for it.

        Raises:
            BuildError: it was not built, with the cause and the end of the log; the image is not
                in the registry although the engine said so.
            ImageError: the base can't be built on, or lacks the Python that the code needs.
            StorageError: the context can't be stored.
            RegistryError: a registry refused or can't be reached.
            ClusterError: and its kinds: the cluster refused the Job.
        """
        if reason := self.supports(request):
            raise errors.Unsupported(f"cluster can't build this: {reason}")
        self._cluster.warm()
        with Session(request.registries, request.registry_for) as session:
            recipe = self._recipe(request, session)
            digest = self._run(request, session, recipe)
            found = confirmed(session, recipe.target, digest, self._wanted.platform)
            facts = recipe.facts
            if facts is None:
                wants = request.context.python is not None and self._python is None
                facts = bases.learn(found, user=None, python=wants, cache=session.cache)
                check_python(request.context.python, self._python or facts.python, found.name)
        return Built(
            f"{recipe.target.name}@{digest}",
            uid=facts.uid,
            gid=facts.gid,
            python=self._python or facts.python,
            platform=str(found.platform),
        )

    def foresee(self, request: BuildRequest) -> tuple[Built, Sequence[Check]]:
        """What `build` would push, by its tag, and what stands in its way."""
        with Session(request.registries, request.registry_for) as session:
            wanted, target = self._wanted, self._wanted.target(request)
            built, checks = Built(f"{target.name}:{target.reference}"), []
            try:
                recipe = self._recipe(request, session)
            except (errors.ImageError, errors.RegistryError) as exc:
                return built, [Check("base image", False, str(exc)), may_push(session, target)]
            target, facts = recipe.target, recipe.facts
            built = Built(f"{target.name}:{target.reference}", platform=str(wanted.platform))
            if facts is None:
                told = "your Dockerfile says what it is built on, and whom it runs as"
                checks.append(Check("base image", None, told))
            else:
                built = replace(
                    built, uid=facts.uid, gid=facts.gid, python=self._python or facts.python
                )
                checks.append(Check("base image", True, f"{recipe.base}, {wanted.platform}"))
                checks.append(user_check(facts.uid, facts.gid))
                if needed := request.context.python:
                    checks.append(Check("python", True, f"{needed}, as the code needs"))
            checks.append(may_push(session, target))
            with Parcel(recipe.archive, self._engine, self._stored(request), unheard) as parcel:
                checks.append(parcel.check())
                try:
                    supply = parcel.foreseen()
                    known = self._logins(request, session, recipe)
                    rendered = self._rendered(request, recipe, supply, known)
                    checks += forecast.checks(self._cluster, rendered.job, supply.way)
                except errors.ClusterError as exc:
                    checks.append(Check("build cluster", False, str(exc)))
        return built, checks

    def _recipe(self, request: BuildRequest, session: Session) -> _Recipe:
        """What is built: by the user's own Dockerfile, else by one that is made."""
        wanted, context = self._wanted, request.context
        text, facts = archive.users_own(context, self._dockerfile), None
        ref = wanted.base(request)
        pulled = [ref]
        if text is not None:
            pulled = dockerfile.images_named(text)
        else:
            base = bases.resolve(session.repository(ref), ref, wanted.platform, session.cache)
            wants_python = context.python is not None and self._python is None
            facts = bases.learn(base, user=wanted.user, python=wants_python, cache=session.cache)
            check_python(context.python, self._python or facts.python, base.name)
            if REQUIREMENTS not in {file.destination for file in context.files}:
                check_imports(base, context.imports, session.cache)
            assert facts.uid is not None
            assert facts.gid is not None
            named = str((base.config.get("config") or {}).get("User") or "")
            owner = Owner(facts.uid, facts.gid, named)
            ref = ImageRef(ref.registry, ref.repository, digest=base.manifest.digest)
            pod_base = for_pods(ref, request.registries)
            text = archive.generated(context, str(pod_base), wanted.changes(context), owner)
        packed = archive.archived(context, text, below=BELOW, is_generated=facts is not None)
        target = wanted.target(request, packed.key)
        return _Recipe(packed, target, ref, facts, (target, *pulled))

    def _run(self, request: BuildRequest, session: Session, recipe: _Recipe) -> str:
        """The digest that the engine tells."""
        stored = self._stored(request)
        with Parcel(recipe.archive, self._engine, stored, request.report) as parcel:
            supply = parcel.supply(timeout=self._timeout)
            known = self._logins(request, session, recipe)
            rendered = self._rendered(request, recipe, supply, known)
            self._wanted.make_room(request, recipe.target)
            renewal = Renewal(
                self._cluster, rendered.job, known, lambda: self._logins_of_now(request, recipe)
            )
            with ending_by_sigterm(), self._running(request, rendered) as run, renewal:
                feed = parcel.blocks if supply.way == "stdin" else None
                return run.digest(feed=feed, start_timeout=self._start_timeout)

    def _stored(self, request: BuildRequest) -> Storage | None:
        return self._store or request.storage()

    def _logins(self, request: BuildRequest, session: Session, recipe: _Recipe) -> list[job.Login]:
        cached = [self._cache] if self._cache else []
        return logins(session, (*recipe.talked_to, *cached), request.registries)

    def _logins_of_now(self, request: BuildRequest, recipe: _Recipe) -> list[job.Login]:
        with Session(request.registries, request.registry_for) as session:
            return self._logins(request, session, recipe)

    def _rendered(
        self, request: BuildRequest, recipe: _Recipe, supply: Supply, known: Sequence[job.Login]
    ) -> job.Rendered:
        """The Job that builds."""
        order = Order(
            context=None,
            destination=str(for_pods(recipe.target, request.registries)),
            platform=str(self._wanted.platform),
            cache=for_pods(self._cache, request.registries).name if self._cache else None,
            more=self._extra_args,
        )
        return job.rendered(
            names.random_name("fairing-builder"),
            self._engine,
            order,
            supply,
            image=self._engine_image,
            fetch_image=self._fetch_image or str(for_nodes(recipe.base, request.registries)),
            logins=known,
            more=(*request.patches(), *self._mutators, self._knobs),
            namespace=self._namespace or self._cluster.namespace,
            timeout=self._timeout,
            start_timeout=self._start_timeout,
        )

    @contextmanager
    def _running(self, request: BuildRequest, rendered: job.Rendered) -> Iterator[BuildRun]:
        """The build's Job; it goes with its Secrets, however the build ends."""
        run = BuildRun(self._cluster, rendered, request.report)
        try:
            yield run
        except BaseException:
            run.close()
            raise
        if self._cleanup:
            run.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._cluster!r}, engine={self._engine.name!r})"


class _Recipe(NamedTuple):
    """What is built.

    The archive, what the image will be called, its base and what is known of that, and the images
    whose registries the engine talks to.
    """

    archive: Archive
    target: ImageRef
    base: ImageRef
    facts: Facts | None
    talked_to: tuple[ImageRef, ...]
