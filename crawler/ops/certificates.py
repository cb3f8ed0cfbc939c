"""Makes an authority and certificates of nodes, for trying TLS out and for small clusters.

X.509 as RFC 5280 has it; keys are ECDSA on P-256. Whoever has an authority of their own signs nodes
with that instead: nothing of ours looks at more than who signed.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from crawler.errors import Conflict, InvalidInput, Misconfigured

CA_FILE, CA_KEY_FILE = "ca.pem", "ca.key"
DAYS = 397
_CA_DAYS = 3650
_LOCAL = ("localhost", "127.0.0.1", "::1")


def make_authority(folder: Path) -> None:
    """Write ``ca.pem`` and ``ca.key``; what is there already stays."""
    if (folder / CA_FILE).exists() and (folder / CA_KEY_FILE).exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crawler authority")])
    builder = _builder(name, name, key.public_key(), _CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / CA_KEY_FILE, _pem(key), 0o600)
    _write(folder / CA_FILE, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def make_node(folder: Path, name: str, hosts: Sequence[str]) -> None:
    """Write ``<name>.pem`` and ``<name>.key`` for a node that is reached at these names and
    addresses, and on loopback. Raises `Conflict` where they are there already."""
    targets = folder / f"{name}.key", folder / f"{name}.pem"
    there = [each for each in targets if each.exists()]
    if there:
        files = " and ".join(map(str, there))
        raise Conflict(f"there is already {files}; move that away to make the pair anew")
    authority, authority_key = _authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([_general(each) for each in _once(*hosts, *_LOCAL)])
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = _builder(subject, authority.subject, key.public_key(), DAYS)
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    _write(targets[0], _pem(key), 0o600)
    _write(targets[1], certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ a little
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
        text = (folder / CA_KEY_FILE).read_bytes()
        key = serialization.load_pem_private_key(text, password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Misconfigured(f"{folder}: its {CA_FILE} and {CA_KEY_FILE}: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Misconfigured(f"{folder / CA_KEY_FILE}: not made by `crawler certs`")
    return certificate, key


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host.encode("idna").decode() if not host.isascii() else host)
    except (ValueError, UnicodeError) as error:
        raise InvalidInput(f"{host!r} is no host: {error}", field="host") from error


def _once(*hosts: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(hosts))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, text: bytes, mode: int) -> None:
    """A new file with these rights from the first moment on."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as target:
            target.write(text)
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error
