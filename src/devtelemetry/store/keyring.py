"""The ids in rows: keyed 64-bit hashes. Source: docs/adr/0002-keyed-ids.md."""

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from devtelemetry.model import Source
from devtelemetry.store.recent import LONGEST, Memory, Recent

_PSEUDONYM = re.compile(r"dt-receiver:([0-9a-f]{16}):([0-9a-f]{16}):([0-9a-f]{16}|-)")


_INSTALLATION_PSEUDONYM = re.compile(r"dt-installation:([0-9a-f]{16})")

_RECEIVER_NAME = re.compile(r"[0-9a-f]{16}")


class ReceiverIds(NamedTuple):
    receiver_id: int
    owner_id: int
    installation_id: int | None  # None: no installation was named


class Keyring:
    """Hashes ids with a deployment's secret. Not thread-safe; one per event loop.

    The same id always gives the same signed 64-bit integer (PostgreSQL's bigint). Without the
    secret nobody can tell whether a guessed public key is in the database.
    """

    def __init__(self, key: bytes, *, knows_pseudonyms: bool = False) -> None:
        if len(key) != 32:
            raise ValueError(f"the id key has {len(key)} bytes; it must have 32")
        self._key = key
        self._knows_pseudonyms = knows_pseudonyms
        self.memory = Memory()
        self.channel = self._cached(b"channel")
        self.message = self._cached(b"message")
        self.envelope = self._cached(b"envelope")
        self.bucket = self._cached(b"bucket")
        self._receivers: Recent[tuple[str, str, Source], ReceiverIds] = Recent(self.memory)
        self._kinds: Recent[tuple[Source, str], int] = Recent(self.memory)

    def receiver(
        self, public_key: str, installation_id: str, source: Source = Source.GRPC
    ) -> ReceiverIds:
        """Two installations of one key are two receivers with one owner."""
        names = (public_key, installation_id, source)
        ids = self._receivers.get(names)
        if ids is None:
            ids = self._receiver(public_key, installation_id, source)
            if len(public_key) + len(installation_id) <= LONGEST:
                self._receivers.remember({names: ids})
        return ids

    def owner(self, public_key: str) -> int:
        return self._hash(b"owner", public_key.encode())

    def installation(self, installation_id: str) -> int:
        return self._hash(b"installation", installation_id.encode())

    def installed(self, installation_id: str, source: Source) -> int | None:
        """The id of an installation; None if it has no name.

        Anyone who knows an installation's name can have it forgotten. status-go's peer ids are
        public, so they are hashed to ids that no gRPC client can name.
        """
        if not installation_id:
            return None
        # Only when a file is read, as for receivers.
        known = self._knows_pseudonyms and _INSTALLATION_PSEUDONYM.fullmatch(installation_id)
        if known:
            return _from_hex(known[1])
        if source is Source.STATUS_GO:
            return self._hash(b"peer", installation_id.encode())
        return self.installation(installation_id)

    def kind(self, source: Source, message_type: str) -> int:
        """The signed 32-bit key of sample_kind."""
        names = (source, message_type)
        kind = self._kinds.get(names)
        if kind is None:
            text = f"{source}\0{message_type}".encode()
            digest = blake2b(text, digest_size=4, key=self._key, person=b"kind").digest()
            kind = int.from_bytes(digest, "big", signed=True)
            self._kinds.remember({names: kind})
        return kind

    def _receiver(self, public_key: str, installation_id: str, source: Source) -> ReceiverIds:
        # Only when a file is read: a client must not pose as a receiver by its exported name.
        known = _PSEUDONYM.fullmatch(public_key) if self._knows_pseudonyms else None
        if known and not installation_id:
            # An exported receiver is the same receiver again, not the hash of its pseudonym.
            receiver, owner, installation = known.groups()
            return ReceiverIds(
                _from_hex(receiver),
                _from_hex(owner),
                None if installation == "-" else _from_hex(installation),
            )
        # The length comes first: ("ab", "c") and ("a", "bc") must not have the same hash.
        key, installation_bytes = public_key.encode(), installation_id.encode()
        content = len(key).to_bytes(4, "big") + key + installation_bytes
        return ReceiverIds(
            self._hash(b"receiver", content),
            self.owner(public_key),
            self.installed(installation_id, source),
        )

    def _hash(self, person: bytes, content: bytes) -> int:
        digest = blake2b(content, digest_size=8, key=self._key, person=person).digest()
        return int.from_bytes(digest, "big", signed=True)

    def _cached(self, person: bytes) -> Callable[[str], int]:
        cache: Recent[str, int] = Recent(self.memory)

        def lookup(text: str) -> int:
            value = cache.get(text)
            if value is None:
                value = self._hash(person, text.encode())
                if len(text) <= LONGEST:
                    cache.remember({text: value})
            return value

        return lookup


def pseudonym(ids: ReceiverIds) -> str:
    """The name that `export` writes for a receiver. It has the ids, as the key is not stored.

    `import` takes it for the same receiver in any database.
    """
    installation = "-" if ids.installation_id is None else _to_hex(ids.installation_id)
    return f"dt-receiver:{_to_hex(ids.receiver_id)}:{_to_hex(ids.owner_id)}:{installation}"


def installation_pseudonym(installation_id: int) -> str:
    """The same for an installation."""
    return f"dt-installation:{_to_hex(installation_id)}"


def receiver_name(receiver_id: int) -> str:
    """The name of a receiver for people: 16 hex digits, the first ones of its pseudonym."""
    return _to_hex(receiver_id)


def parse_receiver(text: str) -> int:
    """The receiver with this name, as people or exported files have it. Raises ValueError."""
    if _RECEIVER_NAME.fullmatch(text):
        return _from_hex(text)
    if known := _PSEUDONYM.fullmatch(text):
        return _from_hex(known[1])
    raise ValueError(
        f"{text!r} is not a receiver; allowed: 16 hexadecimal digits, or dt-receiver:… as exported"
    )


def _to_hex(value: int) -> str:
    return value.to_bytes(8, "big", signed=True).hex()


def _from_hex(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text), "big", signed=True)
