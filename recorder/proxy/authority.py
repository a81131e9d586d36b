"""An authority of one's own for developing: certificates for this machine's names.

The authority is made once and kept, so that it is trusted once; its key is private (0600). It
is for developing only: whoever has its key can pass for any site to those who trust it.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trustme

from recorder.errors import UsageError

NAMES: Final = ("localhost", "127.0.0.1", "::1")


def dev_context(folder: Path, names: Sequence[str] = ()) -> tuple[ssl.SSLContext, Path]:
    """What a server needs for TLS, and the file with the authority's certificate.

    `names` are further names and addresses of this machine. Raises `UsageError` for an authority
    in `folder` that cannot be read or written.
    """
    certificate, key = folder / "dev-ca.pem", folder / "dev-ca.key"
    try:
        authority = _authority(certificate, key)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(
            f"the authority in {certificate} and {key} cannot be used ({said}); remove both, and "
            "a new one is made"
        ) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*dict.fromkeys((*NAMES, *names))).configure_cert(context)
    return context, certificate


def _authority(certificate: Path, key: Path) -> trustme.CA:
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    authority = trustme.CA(organization_name="realtime-recorder, for developing on this machine")
    for path, blob in ((key, authority.private_key_pem), (certificate, authority.cert_pem)):
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(blob.bytes())
    return authority
