"""Moves the records of the app's calls into the outbox."""

import logging
from collections.abc import Iterable, Mapping

from devtelemetry.client.identity import Identity
from devtelemetry.client.journal import abandoned
from devtelemetry.client.lost import Loss
from devtelemetry.client.outbox import Outbox
from devtelemetry.client.record import unpack_all
from devtelemetry.client.settings import Settings
from devtelemetry.client.sources import Source
from devtelemetry.client.wire import made_of

_LOG = logging.getLogger("devtelemetry.client")


class Intake:
    """The intake of one running client. Only its background thread uses it."""

    def __init__(self, settings: Settings, outbox: Outbox) -> None:
        self._settings = settings
        self._outbox = outbox
        self._told = set[str]()  # faults that were logged

    def recover(self, identity: Identity) -> int:
        """Stores what killed clients recorded and did not store. Returns how many samples are lost.

        Each record is stored exactly once: the outbox notes which fillings of a journal it has.
        """
        lost = 0
        for journal in abandoned(self._settings.storage.directory, self._outbox.unended()):
            for half in journal.left():
                source = Source(journal.slot, half.generation)
                self.store(identity, half.records, half.lost, source)
            lost += self._outbox.end(identity.consent, journal.slot, self._settings.clock())
            journal.remove()
        return lost

    def store(
        self,
        identity: Identity,
        records: Iterable[bytes],
        lost: Mapping[int, Loss],
        source: Source,
    ) -> None:
        # Records under an earlier consent are dropped: that consent was withdrawn.
        ours = (item for item in unpack_all(records) if item.consent == identity.consent)
        now_ms = self._settings.clock()
        since = identity.opted_in_by(now_ms)
        made = made_of(ours, identity, since, self._outbox.rules())
        self._outbox.add(
            identity.consent,
            made.samples,
            made.said,
            lost=lost.get(identity.consent, Loss(0, None)),
            since=since,
            source=source,
            now_ms=now_ms,
            counts=made.counts,
        )
        # One line for each kind of fault, because an app usually repeats it with every message.
        for name in made.faults.keys() - self._told:
            _LOG.warning(
                "a sample is set aside, and so are all others with this fault: %s",
                made.faults[name],
            )
        self._told |= made.faults.keys()
