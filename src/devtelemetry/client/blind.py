"""What is sent in place of a key or an id. Pure.

A pseudonym replaces the user's key. It is made with a secret that only this installation has. So it
is the same in all reports of the installation, and means nothing outside of them.

Blinded ids are keyed with the channel's id instead. All members of a channel know that id and get
the same values, so the server can compare what they hold. Somebody who does not know the id learns
neither channel nor message, but can try ids that are easy to guess (docs/privacy.md).

An id that is too long for the server is shortened, in the same way at all members. That hides
nothing.
"""

from hashlib import blake2b

MAX_ID_BYTES = 512  # the server's limit
_LONG_ID = "blake2b-256:"
_BYTES = 16
_PERSON = b"dt-pseudonym"
_CHANNEL = b"dt-channel"
_MESSAGE = b"dt-message"
_ENVELOPE = b"dt-envelope"


def pseudonym(secret: bytes, public_key: str) -> str:
    """32 hex digits that replace `public_key` in all that one installation sends."""
    return _keyed(secret, _PERSON, public_key)


def blind_channel(channel_id: str) -> str:
    """32 hex digits, the same at every member."""
    return _keyed(_channel_key(channel_id), _CHANNEL, channel_id)


def blind_message(channel_id: str, message_id: str) -> str:
    """32 hex digits, the same at every member of the channel."""
    return _keyed(_channel_key(channel_id), _MESSAGE, message_id)


def blind_envelope(channel_id: str, envelope_id: str) -> str:
    """32 hex digits, the same at every member of the channel; empty stays empty."""
    return _keyed(_channel_key(channel_id), _ENVELOPE, envelope_id) if envelope_id else ""


def short_id(text: str) -> str:
    """`text` if it has at most 512 bytes of UTF-8, else `blake2b-256:` and 64 hex digits."""
    if len(text) * 4 <= MAX_ID_BYTES:
        return text
    encoded = text.encode()
    if len(encoded) <= MAX_ID_BYTES:
        return text
    return _LONG_ID + blake2b(encoded, digest_size=32).hexdigest()


def _channel_key(channel_id: str) -> bytes:
    return blake2b(channel_id.encode(), person=b"dt-channel-key").digest()


def _keyed(key: bytes, purpose: bytes, text: str) -> str:
    return blake2b(text.encode(), digest_size=_BYTES, key=key, person=purpose).hexdigest()
