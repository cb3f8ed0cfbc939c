"""Makes an authority and certificates of nodes, for trying TLS out and for small clusters.

X.509 as RFC 5280 has it; keys are ECDSA on P-256. Whoever has an authority of their own signs nodes
with that instead: nothing of ours looks at more than who signed.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from crawler.errors import Conflict, InvalidInput, Misconfigured
from crawler.failpoint import hit_sync

CA_FILE, CA_KEY_FILE = "ca.pem", "ca.key"
DAYS = 397
_CA_DAYS = 3650
_LOCAL = ("localhost", "127.0.0.1", "::1")


def make_authority(folder: Path) -> None:
    """Write ``ca.key`` and then ``ca.pem``; what is there already stays. A key whose certificate is
    missing gets one: whoever made it was cut off. Without its key an authority is whole, too, but
    signs nobody."""
    if (folder / CA_FILE).exists():
        return
    _make_folder(folder)
    key = _key(folder / CA_KEY_FILE)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crawler authority")])
    builder = _builder(name, name, key.public_key(), _CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    hit_sync("certificates.between")
    _write(folder / CA_FILE, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def make_node(folder: Path, name: str, hosts: Sequence[str]) -> bool:
    """Write ``<name>.key`` and then ``<name>.pem`` for a node that is reached at these names and
    addresses, and on loopback. False: they are there already, and good for just that. A key whose
    certificate is missing gets one.

    Raises `Conflict` for a pair that is there and is another one.
    """
    key_file, file = folder / f"{name}.key", folder / f"{name}.pem"
    authority, authority_key = _authority(folder)
    names = x509.SubjectAlternativeName([_general(each) for each in _once(*hosts, *_LOCAL)])
    if file.exists():
        if key_file.exists() and _is_good(file, _key(key_file), names, authority):
            return False
        raise Conflict(
            f"there is already {file}, and it is not what is asked for (other hosts, another "
            f"authority or key, or out of date); move it away, and {key_file} for another key"
        )
    key = _key(key_file)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = _builder(subject, authority.subject, key.public_key(), DAYS)
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    hit_sync("certificates.between")
    _write(file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return True


def _is_good(
    file: Path,
    key: ec.EllipticCurvePrivateKey,
    names: x509.SubjectAlternativeName,
    authority: x509.Certificate,
) -> bool:
    """Whether a certificate is of this key, for just these names, by this authority, and valid."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        certificate.verify_directly_issued_by(authority)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    now = datetime.datetime.now(datetime.UTC)
    return (
        certificate.public_key() == key.public_key()
        and held == names
        and now < certificate.not_valid_after_utc
    )


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
    if not (folder / CA_KEY_FILE).exists():
        raise Misconfigured(f"{folder / CA_KEY_FILE} is missing: nobody can be signed without it")
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{folder / CA_FILE}: {error}") from error
    return certificate, _key(folder / CA_KEY_FILE)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The one in that file, which is made where there is none."""
    if not path.exists():
        _write(path, _pem(ec.generate_private_key(ec.SECP256R1())), 0o600)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Misconfigured(f"{path}: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Misconfigured(f"{path}: not made by `crawler certs`")
    return key


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


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"{folder}: {error.strerror}") from error


def _write(path: Path, text: bytes, mode: int) -> None:
    """A new file, whole and on the disk, with these rights from the first moment on."""
    try:
        handle, staged = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(handle, "wb") as target:
                target.write(text)
                target.flush()
                os.fchmod(handle, mode)
                os.fsync(handle)
            os.link(staged, path)  # which never replaces one that is there
        finally:
            os.unlink(staged)
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error
