"""Certificates and kubeconfigs of the cluster, signed by the bench's authority."""

from __future__ import annotations

import datetime
import ipaddress
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.bench.bench import Bench, write
from tests.bench.certificates import DAYS, Pair, authority

_PRIVATE = 0o600


def sign(bench: Bench, folder: Path, name: str, subject: x509.Name, hosts: Sequence[str]) -> Pair:
    """A certificate for a client, and for a server if it is called one of `hosts`; made once."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    if pair.certificate.exists():
        return pair
    signer = authority(bench)
    ca = x509.load_pem_x509_certificate(signer.certificate.read_bytes())
    ca_key = serialization.load_pem_private_key(signer.key.read_bytes(), password=None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .add_extension(  # Python refuses a server without it from 3.13 on
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(each) for each in hosts])
        made = made.add_extension(names, critical=False)
    _write_key(pair.key, key)
    text = made.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    write(pair.certificate, text.decode())
    return pair


def subject(user: str, group: str) -> x509.Name:
    """Whom the API server takes the holder of a certificate for."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, group),
            x509.NameAttribute(NameOID.COMMON_NAME, user),
        ]
    )


def kubeconfig(
    bench: Bench, path: Path, *, server: str, user: Mapping[str, str], namespace: str = "default"
) -> Path:
    """A kubeconfig for the `user` entry given: a certificate and key, or a token."""
    ca = str(authority(bench).certificate)
    context = {"cluster": "bench", "user": "bench", "namespace": namespace}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "bench", "user": user}],
        "contexts": [{"name": "bench", "context": context}],
    }
    return write(path, json.dumps(config, indent=1), _PRIVATE)


def signing_key(path: Path) -> None:
    """The key that service accounts' tokens are signed with; made once."""
    if not path.exists():
        _write_key(path, rsa.generate_private_key(public_exponent=65537, key_size=2048))


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write(path, text.decode(), _PRIVATE)
