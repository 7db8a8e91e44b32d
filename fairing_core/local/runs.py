"""The directory of runs: finds them, lists them, lets old ones go."""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from fairing_core import errors
from fairing_core.local import arguments, files, staging
from fairing_core.local.handle import LocalRun

logger = logging.getLogger(__name__)


class LocalRuns:
    """The runs in `root`; ended ones are kept for `ttl` seconds."""

    def __init__(self, root: Path, /, *, backend: str = "local", ttl: float = 604800) -> None:
        self.root = root
        self._backend = backend
        self._ttl = ttl

    def handle(self, name: str) -> LocalRun:
        """The run of that name, whether or not it is there."""
        return LocalRun(self.root / name, backend=self._backend)

    def get(self, uri: str) -> LocalRun:
        """The run that a URI, or a bare name, names.

        Raises:
            RunNotFound: there is none.
            StateError: its record is damaged, or was written by a newer version.
        """
        name = self._name(uri)
        try:
            arguments.check_name(name)
            run = self.handle(name)
            _ = run.created, run.status
            return run
        except (errors.RunNotFound, errors.InvalidArgument) as exc:
            raise errors.RunNotFound(
                f"there is no run {name!r} in {self.root}{self._near(name)}", uri=uri
            ) from exc

    def list(self) -> Iterator[LocalRun]:
        """The runs, newest first; one whose record can't be read is logged and left out."""
        found: list[tuple[datetime, str]] = []
        for name in self._names():
            try:
                run = self.handle(name)
                _ = run.status
                found.append((run.created, name))
            except errors.RunNotFound:
                continue
            except errors.StateError as exc:
                logger.warning("left out run %s: %s", name, exc)
        return iter([self.handle(name) for _, name in sorted(found, reverse=True)])

    def sweep(self) -> None:
        """Removes what nobody needs: expired runs, folders of submits that never came to be."""
        try:
            staging.sweep(self.root)
            for hidden in self.root.glob(f"{files.DELETED}*"):
                if fault := files.erase(hidden, attempts=5):
                    logger.info("could not remove all of %s: %s", hidden, fault)
            for name in self._names():
                self._expire(name)
        except OSError as exc:
            logger.info("could not sweep %s: %s", self.root, exc)

    def _expire(self, name: str) -> None:
        run = self.handle(name)
        try:
            if not run.status.is_terminal:
                return
            # Nobody saw the end of a run whose supervisor was killed; its log is a good guess.
            written = (self.root / name / "log").stat().st_mtime
            ended = run.ended.timestamp() if run.ended else written
        except (errors.StateError, errors.RunNotFound, FileNotFoundError):
            return
        if ended < time.time() - self._ttl:
            files.remove(self.root / name)

    def _names(self) -> Iterator[str]:
        try:
            entries = sorted(path.name for path in self.root.iterdir() if path.is_dir())
        except FileNotFoundError:
            return
        yield from (name for name in entries if not name.startswith("."))

    def _name(self, uri: str) -> str:
        if "://" not in uri:
            return uri
        path, _, query = uri.partition("?")
        prefix = f"fairing://{self._backend}/default/job/"
        name = path.removeprefix(prefix)
        if name == path or query not in ("", f"uid={name}"):
            raise errors.RunNotFound(
                f"{uri} is no run of this backend; its runs are {prefix}NAME?uid=NAME", uri=uri
            )
        return name

    def _near(self, name: str) -> str:
        names = list(self._names())
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
        return f"{hint} It may have expired; 'fairing ps' lists the {len(names)} there are"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r})"
