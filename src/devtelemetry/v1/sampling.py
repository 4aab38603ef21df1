"""Which messages sampling picks. Clients and servers decide alike. Source: the proto."""

from hashlib import blake2b

MOST_ONE_IN = 2**20
"""About one message in a million. With fewer messages the figures would say nothing"""

_DIGEST_BYTES = 8


def is_in_sample(one_in: int, salt: bytes, channel_id: str, message_id: str) -> bool:
    """Whether this message is among the one in `one_in` that are reported. Ids as they are sent."""
    if one_in == 1:
        return True
    named = salt + channel_id.encode() + b"\0" + message_id.encode()
    digest = blake2b(named, digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest, "big") & (one_in - 1) == 0


def is_rate(one_in: int) -> bool:
    """Whether a rule may have `one_in`: a power of two up to MOST_ONE_IN."""
    return 0 < one_in <= MOST_ONE_IN and one_in & (one_in - 1) == 0
