"""Certificates of the cluster: its authority, its servers, its users."""

from __future__ import annotations

import datetime
import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.bench.bench import write

_YEARS = datetime.timedelta(days=3650)
_PRIVATE = 0o600
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Authority:
    """Signs certificates; its own and all it gives are files of `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.crt"
        self.key = folder / "ca.key"
        self._name = _name("fairing-bench-ca")
        if not self.certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            _write_key(self.key, key)
            signed = (
                _unsigned(self._name, self._name, key)
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                .sign(key, hashes.SHA256())
            )
            write(self.certificate, _pem(signed))

    def sign(
        self, name: str, user: str, group: str, hosts: Sequence[str] = ()
    ) -> tuple[Path, Path]:
        """Certificate and key of `user`, for clients and for servers that are called `hosts`."""
        certificate, file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if not certificate.exists():
            signer = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
            assert isinstance(signer, ec.EllipticCurvePrivateKey)
            key = ec.generate_private_key(ec.SECP256R1())
            _write_key(file, key)
            usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
            made = _unsigned(_name(user, group), self._name, key).add_extension(
                x509.ExtendedKeyUsage(usage), critical=False
            )
            if hosts:
                names = x509.SubjectAlternativeName([_host(each) for each in hosts])
                made = made.add_extension(names, critical=False)
            write(certificate, _pem(made.sign(signer, hashes.SHA256())))
        return certificate, file

    def kubeconfig(self, server: str, name: str, user: str, group: str) -> Path:
        """A kubeconfig for `user`."""
        certificate, key = self.sign(name, user, group)
        return kubeconfig(
            self.folder / f"{name}.kubeconfig",
            server=server,
            authority=self.certificate,
            user={"client-certificate": str(certificate), "client-key": str(key)},
        )


def kubeconfig(
    path: Path,
    *,
    server: str,
    authority: Path,
    user: dict[str, str],
    namespace: str = "default",
) -> Path:
    """A kubeconfig for the `user` entry given: a certificate and key, or a token."""
    context = {"cluster": "bench", "user": "bench", "namespace": namespace}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "clusters": [
            {
                "name": "bench",
                "cluster": {"server": server, "certificate-authority": str(authority)},
            }
        ],
        "users": [{"name": "bench", "user": user}],
        "contexts": [{"name": "bench", "context": context}],
    }
    return write(path, json.dumps(config, indent=1), _PRIVATE)


def signing_key(path: Path) -> Path:
    """The key that service accounts' tokens are signed with."""
    if not path.exists():
        _write_key(path, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    return path


def _name(user: str, group: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(parts)


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _unsigned(subject: x509.Name, issuer: x509.Name, key: _Key) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _YEARS)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _write_key(path: Path, key: _Key) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write(path, text.decode(), _PRIVATE)
