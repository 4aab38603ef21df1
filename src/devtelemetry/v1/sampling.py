"""Which messages are in a sample: clients and servers decide it alike. Source: the proto."""

from hashlib import blake2b

MOST_ONE_IN = 2**20
"""Less than one message of a million says nothing"""

_DIGEST_BYTES = 8


def is_in_sample(one_in: int, salt: bytes, channel_id: str, message_id: str) -> bool:
    """Whether a sample of one message in `one_in` has this one; ids as they are sent."""
    if one_in == 1:
        return True
    named = salt + channel_id.encode() + b"\0" + message_id.encode()
    digest = blake2b(named, digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest, "big") & (one_in - 1) == 0


def is_rate(one_in: int) -> bool:
    """Whether it is a power of two that a rule may have."""
    return 0 < one_in <= MOST_ONE_IN and one_in & (one_in - 1) == 0
