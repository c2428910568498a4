"""Certificates by which the parts of a server know each other. They are made at its start and known to no other program."""

from collections.abc import Mapping

from orchestrator.errors import InfrastructureError
from orchestrator.release import how_to_install

AUTHORITY, CERTIFICATE, KEY, IDENTITY = "ca.pem", "cert.pem", "key.pem", "identity.pem"
"""Names of files; an identity is a certificate and its key."""


def certificates(host: str) -> Mapping[str, str]:
    """A certificate for ``host``, its key, and its authority, which signs no other certificate, as texts by file name.

    Raises InfrastructureError if the package that makes them is missing.
    """
    try:
        from trustme import CA  # noqa: PLC0415  clients without embedded servers do not have it
    except ImportError:
        raise InfrastructureError("trustme", f"not installed: run {how_to_install('embedded')}") from None
    authority = CA()
    issued = authority.issue_cert(host)
    return {
        AUTHORITY: _text(authority.cert_pem.bytes()),
        CERTIFICATE: "".join(_text(pem.bytes()) for pem in issued.cert_chain_pems),
        KEY: _text(issued.private_key_pem.bytes()),
        IDENTITY: _text(issued.private_key_and_cert_chain_pem.bytes()),
    }


def _text(pem: bytes) -> str:
    return pem.decode("ascii")
