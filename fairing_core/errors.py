"""What can go wrong, one class a fault.

Every error says what failed, with which value, and what to do next. Each class has an exit code of
its own, which the ``fairing`` command ends with (``RunFailed`` ends with the run's own), so that
scripts can tell faults apart::

    FairingError                         70
    ├── Unsupported                      69   not in this version, or not on this backend
    ├── SettingsError                    78   a setting that can't be read or understood
    │   └── UnknownSetting               80
    ├── UnknownOption                    81   a keyword that a preprocessor, builder, ... lacks
    ├── UnknownName                      82   no preprocessor, builder, deployer, ... of that name
    │   └── UnknownBackend               83
    ├── DuplicateName                    84   two distributions offer one name
    ├── PluginError                      85
    │   ├── PluginLoadError              86   broken or misspelt
    │   ├── IncompatiblePlugin           87   made for another plugin API
    │   └── PluginFailed                 88   one of its hooks raised
    ├── InputError                       65
    │   ├── MissingInput                 66
    │   ├── UnreadableInput              77
    │   ├── OutsideRoot                  89
    │   ├── EmptyEntry                   90
    │   ├── ConflictingInputs            91
    │   ├── InvalidArgument              92   an argument or variable that no process can take
    │   ├── NotPicklable                 93
    │   ├── MissingRequirements          94
    │   ├── InvalidDestination           95
    │   ├── InvalidNotebook             117   no notebook, an old one, or one of another language
    │   │   └── InvalidCell             118   a cell that is no Python, or that no job can run
    │   ├── NotebookNotFound            119   which notebook runs now is not known
    │   └── SecretFile                  116
    ├── ImageError                       96   a base image that can't be built on
    │   ├── InvalidReference             97   no image's name
    │   └── PlatformNotFound             98
    ├── RegistryError                    99   a registry refused, or answered amiss
    │   ├── RegistryUnreachable         100
    │   ├── UntrustedRegistry           101   its certificate
    │   ├── RegistryDenied              102   credentials missing, wrong, or without that right
    │   └── ImageNotFound               103
    ├── StorageError                    111   a store refused, or answered amiss
    │   ├── StorageUnreachable          112
    │   ├── StorageDenied               113   credentials missing, wrong, or without that right
    │   └── StoredObjectNotFound        114   no such object, or no such bucket
    ├── BuildError                      115   an image was not built, or is not where it should be
    ├── ClusterError                    104   a cluster refused, or answered amiss
    │   ├── NoCluster                   105   no kubeconfig, or one that leads to none
    │   ├── ClusterUnreachable          106
    │   ├── UntrustedCluster            107   its certificate
    │   ├── ClusterDenied               108   credentials missing or wrong, or a verb not allowed
    │   └── ObjectNotFound              109
    ├── MutatorFailed                   110   one of the user's own pod_spec_mutators raised
    ├── StateError                       74   the disk is full, a record is damaged
    └── RunError                         71
        ├── RunFailed                         the run's own exit code
        ├── WaitTimeout                 124
        ├── RunNotFound                  72
        └── ResultUnavailable            75   the value did not travel, or needs ``unpickle=True``

All of them pickle, with their fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar


class FairingError(Exception):
    """Any fault that Fairing names; `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 70

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[FairingError], args: tuple[Any, ...], fields: dict[str, Any]) -> Any:
    """The error again; its fields are its keyword parameters, but for what others hung on it."""
    own = {key: value for key, value in fields.items() if not key.startswith("__")}
    error = cls(*args, **own)
    error.__dict__.update(fields)
    return error


def near(word: str, known: Iterable[str]) -> str:
    """A sentence end that names the near word and all `known` ones: what to write instead."""
    import difflib  # only for faults

    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{hint} Known: {', '.join(names) if names else 'none'}"


class Unsupported(FairingError, NotImplementedError):
    """This version, or this backend, can't do what was asked."""

    exit_code = 69


class SettingsError(FairingError, ValueError):
    """A setting can't be read, or its value doesn't fit."""

    exit_code = 78


class UnknownSetting(SettingsError):
    """No setting of that name."""

    exit_code = 80


class UnknownOption(FairingError, TypeError):
    """A preprocessor, builder or deployer has no option of that name."""

    exit_code = 81


class UnknownName(FairingError, LookupError):
    """No installed plugin offers that name."""

    exit_code = 82


class UnknownBackend(UnknownName):
    """No installed plugin offers that backend."""

    exit_code = 83


class DuplicateName(FairingError):
    """Two distributions offer one name; raised when that name is asked for."""

    exit_code = 84


class PluginError(FairingError):
    """A plugin is at fault; `distribution` names the package it came with."""

    exit_code = 85

    def __init__(self, message: str, *, distribution: str) -> None:
        super().__init__(message)
        self.distribution = distribution


class PluginLoadError(PluginError, ImportError):
    """A plugin can't be loaded; raised only when that plugin is needed."""

    exit_code = 86


class IncompatiblePlugin(PluginError):
    """A plugin was made for another plugin API than this core's."""

    exit_code = 87


class PluginFailed(PluginError):
    """A plugin's hook raised, and the run can't do without its answer."""

    exit_code = 88


class InputError(FairingError, ValueError):
    """The code or a file that should travel is at fault."""

    exit_code = 65


class MissingInput(InputError, FileNotFoundError):
    """A file, a folder or every match of a pattern is missing."""

    exit_code = 66


class UnreadableInput(InputError, PermissionError):
    """A file is there but can't be read, or is no file (a socket, a device)."""

    exit_code = 77


class OutsideRoot(InputError):
    """A file lies outside the root, so it has no place of its own in the image."""

    exit_code = 89


class EmptyEntry(InputError):
    """There is nothing to run: no entry, or an empty one."""

    exit_code = 90


class ConflictingInputs(InputError):
    """Two different sources claim one destination."""

    exit_code = 91


class InvalidArgument(InputError):
    """An argument or variable that no process can be given (NUL, or over the kernel's limit)."""

    exit_code = 92


class NotPicklable(InputError, TypeError):
    """An object can't travel; `variable` is the path to it, e.g. ``config['lock']``."""

    exit_code = 93

    def __init__(self, message: str, *, variable: str) -> None:
        super().__init__(message)
        self.variable = variable


class MissingRequirements(InputError):
    """The interpreter that should run the code lacks requirements; `lacking` lists them."""

    exit_code = 94

    def __init__(self, message: str, *, lacking: tuple[str, ...]) -> None:
        super().__init__(message)
        self.lacking = lacking


class InvalidDestination(InputError):
    """A place in the image that can't be written to."""

    exit_code = 95


class SecretFile(InputError):
    """A file looks like a secret; `paths` lists all that do."""

    exit_code = 116

    def __init__(self, message: str, *, paths: tuple[str, ...]) -> None:
        super().__init__(message)
        self.paths = paths


class NotebookNotFound(InputError, LookupError):
    """Which notebook runs now is not known, or it is no file on this machine."""

    exit_code = 119


class InvalidNotebook(InputError):
    """A file is no notebook, or one of an old format or another language."""

    exit_code = 117


class InvalidCell(InvalidNotebook):
    """A cell can't run: `cell` is its number, `line` the line in it, both from 1."""

    exit_code = 118

    def __init__(self, message: str, *, cell: int, line: int) -> None:
        super().__init__(message)
        self.cell = cell
        self.line = line


class ImageError(FairingError, ValueError):
    """An image is at fault: of a kind that can't be built on, or unlike what the code needs."""

    exit_code = 96


class InvalidReference(ImageError):
    """A text that can't name an image or a repository."""

    exit_code = 97


class PlatformNotFound(ImageError, LookupError):
    """The image is not there for the platform that was asked for."""

    exit_code = 98


class RegistryError(FairingError, OSError):
    """A registry refused, or answered what it should not.

    `host` is the registry's, `status` its HTTP status (None when there was no answer), `code` its
    own error code (``BLOB_UPLOAD_INVALID``), if it gave one.

    Source: OCI distribution specification v1.1, Error Codes.
    """

    exit_code = 99

    def __init__(
        self, message: str, *, host: str, status: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.host = host
        self.status = status
        self.code = code


class RegistryUnreachable(RegistryError, ConnectionError):
    """Nobody answered at that host, or the connection broke again and again."""

    exit_code = 100


class UntrustedRegistry(RegistryError):
    """The registry's certificate is not trusted here."""

    exit_code = 101


class RegistryDenied(RegistryError, PermissionError):
    """The registry wants credentials, or those it got don't allow it."""

    exit_code = 102


class ImageNotFound(RegistryError, LookupError):
    """No such image, tag or digest."""

    exit_code = 103


class StorageError(FairingError, OSError):
    """A store refused, or answered what it should not.

    `url` is the object's, the bucket's or the store's, `status` the HTTP status (None when there
    was no answer), `code` the store's own error code (``NoSuchBucket``), if it gave one.
    """

    exit_code = 111

    def __init__(
        self, message: str, *, url: str, status: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.url = url
        self.status = status
        self.code = code


class StorageUnreachable(StorageError, ConnectionError):
    """The store doesn't answer."""

    exit_code = 112


class StorageDenied(StorageError, PermissionError):
    """The credentials are missing, wrong or expired, or don't allow it."""

    exit_code = 113


class StoredObjectNotFound(StorageError, LookupError):
    """There is no such object, or no such bucket."""

    exit_code = 114


class BuildError(FairingError):
    """An image was not built, or is not where its builder said.

    `kind` names the cause for programs (``"base-not-found"``, ``"out-of-memory"``), `tail` holds
    the last lines of the build's log.
    """

    exit_code = 115

    def __init__(self, message: str, *, kind: str = "", tail: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.tail = tail


class ClusterError(FairingError, OSError):
    """A cluster's API refused, or answered what it should not.

    `status` is the HTTP status (None when there was no answer), `reason` the API's own word for it
    (``AlreadyExists``), "" if it gave none.

    Source: Kubernetes API conventions, Response Status Kind.
    """

    exit_code = 104

    def __init__(self, message: str, *, status: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NoCluster(ClusterError):
    """There is no kubeconfig, or it leads to no cluster, and this is no pod either."""

    exit_code = 105


class ClusterUnreachable(ClusterError, ConnectionError):
    """The API server doesn't answer."""

    exit_code = 106


class UntrustedCluster(ClusterError):
    """The API server's certificate is not trusted here."""

    exit_code = 107


class ClusterDenied(ClusterError, PermissionError):
    """The credentials are missing, wrong or expired, or don't allow it.

    Where a right is missing, `verb`, `resource` and `namespace` name it as a Role does.
    """

    exit_code = 108

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str = "",
        verb: str = "",
        resource: str = "",
        namespace: str = "",
    ) -> None:
        super().__init__(message, status=status, reason=reason)
        self.verb = verb
        self.resource = resource
        self.namespace = namespace


class ObjectNotFound(ClusterError, LookupError):
    """No such object, or no such namespace."""

    exit_code = 109


class MutatorFailed(FairingError):
    """One of the user's own ``pod_spec_mutators`` raised."""

    exit_code = 110


class StateError(FairingError, OSError):
    """The records of runs can't be read or written (disk full, damaged, newer schema)."""

    exit_code = 74


class RunError(FairingError):
    """A run is at fault; `uri` names it."""

    exit_code = 71

    def __init__(self, message: str, *, uri: str) -> None:
        super().__init__(message)
        self.uri = uri


class RunFailed(RunError):
    """The run ended without success.

    `type`, `text` and `traceback` are the remote exception's, when there was one;
    `returncode` is the run's exit code (128 + n for signal n), None when nobody saw it.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        uri: str,
        returncode: int | None = None,
        type: str | None = None,
        text: str | None = None,
        traceback: str | None = None,
    ) -> None:
        super().__init__(message, uri=uri)
        self.returncode = returncode
        self.type = type
        self.text = text
        self.traceback = traceback


class WaitTimeout(RunError, TimeoutError):
    """The run had not ended in time; `status` is the last one seen."""

    exit_code = 124

    def __init__(self, message: str, *, uri: str, status: str) -> None:
        super().__init__(message, uri=uri)
        self.status = status


class RunNotFound(RunError, LookupError):
    """No such run: never there, deleted, or replaced by another of the same name."""

    exit_code = 72


class ResultUnavailable(RunError):
    """The run succeeded, but its value did not travel or needs ``result(unpickle=True)``."""

    exit_code = 75
