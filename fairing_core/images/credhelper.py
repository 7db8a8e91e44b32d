"""Docker's credential helpers: programs ``docker-credential-NAME`` that keep or make credentials.

Source: https://github.com/docker/docker-credential-helpers, client.Get: the server on standard
input, the answer as JSON on standard output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fairing_core import errors
from fairing_core.types import Credentials
from fairing_core.values import frozen

_NOT_FOUND = b"credentials not found in native keychain"


@frozen
class CredentialHelper:
    """The helper called `name`, to be asked for `server`, as `file` says."""

    name: str
    server: str
    file: Path

    def get(self, environ: Mapping[str, str], timeout: float) -> Credentials | None:
        """Its answer, None if it has none; `timeout` in seconds.

        Raises:
            SettingsError: it is missing, fails, hangs or answers amiss. What it printed is not
                told, as there may be secrets in it.
        """
        import subprocess  # few need a helper

        if "/" in self.name or not self.name.isprintable():  # no program of a PATH
            raise self._failed("has a name that no program has", "mend the file")
        try:
            done = subprocess.run(
                [self._program, "get"],
                input=self.server.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=timeout,
                env=environ,
                check=False,
            )
        except subprocess.TimeoutExpired:  # it carries the output
            raise self._failed(f"gave no answer in {timeout:g} s") from None
        except OSError as exc:
            advice = f"install it, put it on PATH, or take {self.name!r} out of the file"
            raise self._failed(f"can't be started ({exc.strerror})", advice) from exc
        if done.stdout.strip() == _NOT_FOUND:
            return None
        if done.returncode:
            raise self._failed(f"ended with exit code {done.returncode}")
        try:
            answer = json.loads(done.stdout)
            user, secret = answer["Username"], answer["Secret"]
        except (ValueError, LookupError, TypeError, RecursionError):  # they carry the output
            user = secret = None
        if not (isinstance(user, str) and isinstance(secret, str)):
            raise self._failed("gave an answer that isn't JSON with Username and Secret")
        return Credentials(user, secret) if user or secret else None

    @property
    def _program(self) -> str:
        return f"docker-credential-{self.name}"

    def _failed(self, fault: str, advice: str = "") -> errors.SettingsError:
        advice = (
            advice or f"see what `echo {self.server} | {self._program} get` says, or log in anew"
        )
        return errors.SettingsError(
            f"the credential helper {self._program}, which {self.file} names for {self.server}, "
            f"{fault}; {advice}"
        )
