"""TLS certificates of the bench: one authority, and a certificate for each server."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.bench.bench import Bench, write
from tests.bench.locks import locked

DAYS = 30
"""A bench that is up for longer is brought up anew."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


def authority(bench: Bench) -> Pair:
    """The bench's own authority; made once."""
    pair = Pair(bench.run / "ca" / "ca.crt", bench.run / "ca" / "private" / "ca.key")
    with locked(bench.run / "ca.lock"):
        if not pair.certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name("fairing bench")
            limits = x509.BasicConstraints(ca=True, path_length=0)
            certificate = (
                _builder(name, key.public_key())
                .issuer_name(name)
                .add_extension(limits, critical=True)
                .add_extension(_usage(signs=True), critical=True)
                .add_extension(
                    x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
                )
                .sign(key, hashes.SHA256())
            )
            _store(pair, certificate, key)
    return pair


def issue(bench: Bench, folder: Path, names: Sequence[str]) -> Pair:
    """A server's certificate for those host names and addresses."""
    signer = authority(bench)
    ca = x509.load_pem_x509_certificate(signer.certificate.read_bytes())
    ca_key = serialization.load_pem_private_key(signer.key.read_bytes(), password=None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(names[0]), key.public_key())
        .issuer_name(ca.subject)
        .add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    pair = Pair(folder / "server.crt", folder / "server.key")
    _store(pair, certificate, key)
    return pair


def _store(pair: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write(pair.key, secret.decode(), 0o600)
    write(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM).decode())


def _builder(name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
