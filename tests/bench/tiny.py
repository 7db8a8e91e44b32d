"""The smallest thing to build: a wheel that says hello, and a Dockerfile that installs it."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile

WHEEL = "tiny-1-py3-none-any.whl"
SAYS = "hello of tiny"


def wheel() -> bytes:
    """The wheel `WHEEL`, whose module `tiny` prints `SAYS` when it is run."""
    files = {
        "tiny.py": f"print({SAYS!r})\n",
        "tiny-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n",
        "tiny-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "tiny-1.dist-info/RECORD"
    lines = [f"{name},sha256={_hash(text)},{len(text)}\n" for name, text in files.items()]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in {**files, record: "".join([*lines, f"{record},,\n"])}.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return made.getvalue()


def context(base: str) -> dict[str, bytes]:
    """The files of a build on `base`, whose image prints `SAYS`."""
    lines = [
        f"FROM {base}",
        f"COPY {WHEEL} /wheels/",
        "RUN python3 -m pip install --no-index --no-cache-dir /wheels/*.whl",
        'CMD ["python3", "-m", "tiny"]',
    ]
    return {"Dockerfile": "\n".join([*lines, ""]).encode(), WHEEL: wheel()}


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
