"""The directory of runs: finds them, lists them, lets old ones go."""

from __future__ import annotations

import difflib
import secrets
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from fairing_core import errors, log, names
from fairing_core.local import files, records, staging
from fairing_core.local.handle import LocalRun

logger = log.named(__name__)


class LocalRuns:
    """The runs in `root`; ended ones are kept for `ttl` seconds."""

    def __init__(self, root: Path, /, *, backend: str = "local", ttl: float = 604800) -> None:
        self.root = root
        self._backend = backend
        self._ttl = ttl

    def new(self, name: str) -> LocalRun:
        """A run to be, with a uid of its own."""
        return LocalRun(self.root / name, secrets.token_hex(8), backend=self._backend)

    def get(self, uri: str) -> LocalRun:
        """The run that a URI, or a bare name, names.

        Raises:
            RunNotFound: there is none.
            StateError: its record is damaged, or was written by a newer version.
        """
        name, uid = self._named(uri)
        try:
            names.check_name(name)
            run = self._found(name, uid)
            _ = run.created, run.status
            return run
        except (errors.RunNotFound, errors.InvalidArgument) as exc:
            if isinstance(exc, errors.RunNotFound) and (self.root / name).exists():
                raise  # it is another run of that name
            raise errors.RunNotFound(
                f"there is no run {name!r} in {self.root}{self._near(name)}", uri=uri
            ) from exc

    def list(self) -> Iterator[LocalRun]:
        """The runs, newest first; one whose record can't be read is logged and left out."""
        found: list[tuple[datetime, LocalRun]] = []
        for name in self._names():
            try:
                run = self._found(name)
                _ = run.status
                found.append((run.created, run))
            except errors.RunNotFound:
                continue
            except errors.StateError as exc:
                logger.warning("left out run %s: %s", name, exc)
        return iter([run for _, run in sorted(found, key=_newest)])

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
        try:
            run = self._found(name)
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

    def _found(self, name: str, uid: str | None = None) -> LocalRun:
        """The run that has that name, by default whatever its uid."""
        directory = self.root / name
        if uid is None:
            try:
                uid = records.read_run(directory).uid
            except FileNotFoundError:
                uid = ""  # no run has it: looking at it says what is missing
        return LocalRun(directory, uid, backend=self._backend)

    def _named(self, uri: str) -> tuple[str, str | None]:
        if "://" not in uri:
            return uri, None
        path, _, query = uri.partition("?")
        prefix = f"fairing://{self._backend}/default/job/"
        name = path.removeprefix(prefix)
        uid = query.removeprefix("uid=")
        if name == path or (query and uid == query):
            raise errors.RunNotFound(
                f"{uri} is no run of this backend; its runs are {prefix}NAME?uid=UID", uri=uri
            )
        return name, uid or None

    def _near(self, name: str) -> str:
        names = list(self._names())
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
        return (
            f"{hint} It may have expired, or be another backend's (-b NAME); 'fairing ps' lists "
            f"the {len(names)} there are"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r})"


def _newest(entry: tuple[datetime, LocalRun]) -> tuple[float, str]:
    created, run = entry
    return -created.timestamp(), run.name
