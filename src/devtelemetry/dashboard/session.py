"""The cookie of a viewer who signed in with a token. Pure.

The cookie holds the token's SHA-256, not the token. So a thief of the cookie can look at pages
until the session ends, and can do nothing else. Every server of the deployment accepts the cookie,
because it is signed with a key derived from the deployment's key. Revoking a token ends all its
sessions, because the digest is looked up each time.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

SESSION_SECONDS = 7 * 24 * 3600

_DIGEST_BYTES = 32
_TIME_BYTES = 8
_MAC_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    token_digest: bytes
    ends_at: int  # Unix seconds


def session_key(id_key: bytes) -> bytes:
    """The key that cookies are signed with; `id_key` is the deployment's."""
    return hashlib.blake2b(b"sessions", key=id_key, person=b"dt-dashboard").digest()


def write_cookie(session: Session, key: bytes) -> str:
    body = session.ends_at.to_bytes(_TIME_BYTES) + session.token_digest
    return base64.urlsafe_b64encode(body + _mac(body, key)).decode()


def read_cookie(text: str, key: bytes, *, now: float) -> Session | None:
    """The session; None if the cookie was not written with this key, or the session has ended.

    now  Unix seconds
    """
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError, ValueError):
        return None
    if len(raw) != _TIME_BYTES + _DIGEST_BYTES + _MAC_BYTES:
        return None
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(body, key)):
        return None
    session = Session(body[_TIME_BYTES:], int.from_bytes(body[:_TIME_BYTES]))
    return session if now < session.ends_at else None


def _mac(body: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(body, key=key, digest_size=_MAC_BYTES).digest()
