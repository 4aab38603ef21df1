"""The oracle: one window's figures, computed in the most obvious way.

Tests compare the SQL with it. So it is written from docs/algorithm.md and the pages to which that
page refers (protocol.md says which samples are taken, and corrects clocks), never from the SQL. It
uses sets, nested loops and exact fractions, and does not care about speed.

It has no intervals, no sampling, and no limits on the number of types, values and reports of stays.
Silent members are found by the given window alone. For `unseen` and `coverage` it has estimates of
its own (`oracle.figures`); tests compare only the captures from which they are made.

A **receiver** is the pair (receiver public key, installation id). Times are Unix milliseconds. A
window is half-open, [start, end).

Where a page leaves a choice, the module of each part says how the oracle reads it.
`oracle.messages` has what samples prove of messages, `oracle.stays` stays, `oracle.coverage` lost
reports, `oracle.groups` groups and reasons, `oracle.figures` the other figures. Here:

- *Not measured* is a property of a message: its channel matches a glob, or its type is listed. Its
  samples show that their receivers report, and move `first` and `last`, as any others do.
- *Author's marks* make their author count under the policy `window`, as its samples do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from math import inf
from typing import Any

from oracle.coverage import Hole, holes
from oracle.figures import MissingClass, Pair, Traits, delay_class
from oracle.messages import (
    UNKNOWN,
    Canonical,
    Described,
    Hand,
    Installation,
    Message,
    canonical,
    described,
    envelope_contents,
    installation_of,
    messages_of,
    networks_of,
)
from oracle.samples import (
    MEMBERSHIPS,
    Descriptions,
    EnvelopeEvent,
    Joining,
    Lost,
    Membership,
    Memberships,
    MessageKey,
    Numbers,
    OracleSample,
    Receiver,
)
from oracle.stays import stays
from oracle.window import AUDIT, OracleChannel, OracleWindow, Seen

__all__ = [
    "AUDIT",
    "MEMBERSHIPS",
    "Canonical",
    "Joining",
    "Membership",
    "Memberships",
    "MessageKey",
    "Numbers",
    "OracleChannel",
    "OracleSample",
    "OracleWindow",
    "Receiver",
    "canonical",
    "compute",
]


def compute(
    samples: Iterable[OracleSample] | Canonical,
    start: int,
    end: int,
    membership: Membership,
    *,
    events: Iterable[EnvelopeEvent] = (),
    heartbeats: Mapping[Receiver, int] | None = None,
    numbers: Mapping[str, Numbers] | None = None,
    lost: Mapping[str, Iterable[Lost]] | None = None,
    memberships: Memberships | None = None,
    descriptions: Descriptions | None = None,
    unmeasured_channels: Iterable[str] = (),
    unmeasured_types: Iterable[str] = (),
    quorum: int = 1,
    weight_cap: Fraction = Fraction(1, 10),
    fewest_installations: int = 10,
    networks: Mapping[Receiver, str] | None = None,
    smallest_group: int = 3,
    id_of: Callable[[Receiver], Any] = lambda receiver: receiver,
) -> OracleWindow:
    """The figures of the window [start, end).

    samples              in any order; or, to save time, what `canonical` made of them and of the
                         events. Then samples do not describe receivers, and nameless samples of
                         unknown messages do not show that their receivers report
    events               what clients report of envelopes
    heartbeats           receiver → createdAt of its latest push without samples, ms
    numbers              installation → those of its numbers that arrived
    lost                 installation → the numbers that it reports as lost
    memberships          what receivers report of joining and leaving
    descriptions         what receivers report of themselves without a sample
    unmeasured_channels  globs over channel ids, case-sensitive
    unmeasured_types     message types
    quorum               how many installations must vouch for a message
    weight_cap           the greatest share of a channel's messages that one voucher alone may have
    fewest_installations if fewer count in a channel, all of them are believed
    networks             receiver → its network, if that is known
    smallest_group       a group of fewer receivers is not shown
    id_of                orders authors who said so at the same moment: the least is the author

    A channel without a receiver that counts, or without a message in the window, is absent.
    """
    if isinstance(samples, Mapping):
        messages, of_samples = samples, []
    else:
        of_samples = list(samples)
        messages = canonical(of_samples, events, id_of)
    who = described(of_samples, descriptions or {})
    globs = list(unmeasured_channels)
    types = set(unmeasured_types)

    reporting = {receiver for receiver, at in (heartbeats or {}).items() if at >= end}
    for message in messages.values():
        for receiver, receipt in message.receipts.items():
            if max(receipt.created_at.values()) >= end:
                reporting.add(receiver)
    reporting |= _reporting_by_unknown_messages(of_samples, end)

    in_channel: defaultdict[str, list[Message]] = defaultdict(list)
    for (channel_id, _), message in messages.items():
        in_channel[channel_id].append(message)

    told_lost = {installation: list(of_it) for installation, of_it in (lost or {}).items()}
    arrived = numbers or {}
    holes_of = {
        installation: holes(arrived.get(installation, {}), told_lost.get(installation, []))
        for installation in arrived.keys() | told_lost.keys()
    }

    def is_measured(message: Message) -> bool:
        return start <= message.sent_at < end and message.message_type not in types

    # Installations that report a message of the window which another installation confirms.
    has_networks = len(set((networks or {}).values())) >= fewest_installations
    corroborated = {
        installation_of(receiver)
        for (channel_id, _), message in messages.items()
        if is_measured(message) and not any(fnmatchcase(channel_id, glob) for glob in globs)
        if not (has_networks and _is_of_one_network(message, networks or {}))
        for receiver in message.vouchers
        if message.installations - {installation_of(receiver)}
    }

    channels: dict[str, OracleChannel] = {}
    for channel_id, of_channel in sorted(in_channel.items()):
        if any(fnmatchcase(channel_id, glob) for glob in globs):
            continue
        found = _channel(
            channel_id,
            of_channel,
            start,
            end,
            membership,
            reporting=reporting,
            holes_of=holes_of,
            said={
                receiver: list(sayings)
                for (receiver, of), sayings in (memberships or {}).items()
                if of == channel_id
            },
            unmeasured_types=types,
            who=who,
            quorum=quorum,
            weight_cap=weight_cap,
            fewest_installations=fewest_installations,
            networks=networks or {},
            smallest_group=smallest_group,
            corroborated=corroborated,
            id_of=id_of,
        )
        if found.receivers > 0 and (found.messages > 0 or (quorum == 1 and found.unconfirmed > 0)):
            channels[channel_id] = found
    return OracleWindow(channels, smallest_group)


def _reporting_by_unknown_messages(samples: list[OracleSample], end: int) -> set[Receiver]:
    """Receivers with a nameless sample at or after end, of an envelope without known messages."""
    contents = envelope_contents(samples)
    first: dict[tuple[Receiver, str, str], int] = {}
    for sample in samples:
        if sample.is_nameless and not messages_of(sample, contents):
            assert sample.created_at is not None
            key = (sample.receiver, sample.channel_id, sample.envelope_id)
            first[key] = min(sample.created_at, first.get(key, sample.created_at))
    return {receiver for (receiver, _, _), created_at in first.items() if created_at >= end}


def _is_of_one_network(message: Message, networks: Mapping[Receiver, str]) -> bool:
    of = networks_of(message.vouchers, networks)
    return len(of) == 1 and UNKNOWN not in of


def _channel(
    channel_id: str,
    messages: list[Message],
    start: int,
    end: int,
    membership: Membership,
    *,
    reporting: set[Receiver],
    holes_of: Mapping[str, list[Hole]],
    said: Mapping[Receiver, list[Joining]],
    unmeasured_types: set[str],
    who: Mapping[Receiver, Described],
    quorum: int,
    weight_cap: Fraction,
    fewest_installations: int,
    networks: Mapping[Receiver, str],
    smallest_group: int,
    corroborated: set[Installation],
    id_of: Callable[[Receiver], Any],
) -> OracleChannel:
    """One channel in the window. `messages` are all of its messages, in the window or not."""
    measured = [
        message
        for message in messages
        if start <= message.sent_at < end and message.message_type not in unmeasured_types
    ]

    seen: defaultdict[Receiver, list[int]] = defaultdict(list)  # sentAt of all its receipts here
    for message in messages:
        for receiver in message.receipts:
            seen[receiver].append(message.sent_at)

    # A receiver can count if it has a receipt here, reports that it is in, or wrote a message here.
    involved = set(seen) | set(said)
    for message in measured:
        involved |= message.authors.keys()
    spans_of: dict[Receiver, Spans] = {}
    for receiver in sorted(involved & reporting):
        spans = _spans(
            receiver,
            start,
            end,
            membership,
            seen=seen[receiver],
            said=said.get(receiver, []),
            measured=measured,
        )
        if spans is not None:
            spans_of[receiver] = spans

    def many(receivers: Iterable[Receiver]) -> bool:
        return len(set(map(installation_of, receivers))) >= fewest_installations

    def holds_nothing(receiver: Receiver) -> bool:
        return not seen[receiver] and bool(said.get(receiver))

    def is_another(receiver: Receiver) -> bool:
        """Whether it holds nothing, and another member of its installation counts in its place."""
        return holds_nothing(receiver) and any(
            installation_of(other) == installation_of(receiver)
            and (not holds_nothing(other) or id_of(other) < id_of(receiver))
            for other in spans_of
            if other != receiver
        )

    unheard = {
        receiver
        for receiver in spans_of
        if is_another(receiver) or installation_of(receiver) not in corroborated
    }
    silent = unheard if many(spans_of.keys() - unheard) else set()
    members = {
        receiver: who.get(receiver, Described()) for receiver in spans_of if receiver not in silent
    }
    has_many_networks = (
        len({networks[one] for one in members if one in networks}) >= fewest_installations
    )
    hands_of: list[Callable[[Message], frozenset[Hand]]] = []
    if many(members):
        hands_of.append(lambda message: message.installations)
    if has_many_networks:
        hands_of.append(lambda message: networks_of(message.vouchers, networks))
    believed = _believed(measured, quorum, weight_cap, hands_of)

    pairs: list[Pair] = []
    for receiver in members:
        for message in believed:
            if receiver not in message.authors and any(
                first <= message.sent_at <= last for first, last in spans_of[receiver]
            ):
                is_unknown = any(
                    low < message.sent_at < high for low, high in holes_of.get(receiver[1], [])
                )
                pairs.append(_pair(channel_id, receiver, message, who, is_unknown=is_unknown))
    return OracleChannel(
        channel_id,
        _seen(believed, who, networks),
        _seen(measured, who, networks),
        members,
        tuple(sorted(pairs, key=repr)),
        smallest_group,
        frozenset(silent),
        networks if has_many_networks else {},
    )


def _believed(
    measured: list[Message],
    quorum: int,
    weight_cap: Fraction,
    hands_of: Iterable[Callable[[Message], frozenset[Hand]]],
) -> list[Message]:
    """M: the measured messages of a channel that have enough vouchers.

    hands_of  functions that give the hands a message is in; the cap applies to each by itself
    """
    if quorum > 1:
        return [message for message in measured if len(message.installations) >= quorum]
    believed = measured
    for hands in hands_of:
        lone = Counter(
            hand
            for message in measured
            if len(hands(message)) == 1
            for hand in hands(message) - {UNKNOWN}
        )
        too_many = {hand for hand, number in lone.items() if number > weight_cap * len(measured)}
        believed = [one for one in believed if len(hands(one)) > 1 or not hands(one) <= too_many]
    return believed


def _traits(message: Message, who: Mapping[Receiver, Described]) -> Traits:
    author = message.author
    said = Described() if author is None else who.get(author, Described())
    return Traits(message.message_type, author, said)


def _seen(
    messages: list[Message], who: Mapping[Receiver, Described], networks: Mapping[Receiver, str]
) -> tuple[Seen, ...]:
    """What figures need of each message, in an order that does not depend on when it was sent."""
    return tuple(
        sorted(
            (
                Seen(
                    _traits(m, who),
                    m.installations,
                    networks_of(m.vouchers, networks),
                    m.capturers,
                )
                for m in messages
            ),
            key=_sorted_repr,
        )
    )


def _sorted_repr(seen: Seen) -> tuple[str, list[Installation], list[Receiver]]:
    return (repr(seen.traits), sorted(seen.installations), sorted(seen.capturers))


def _pair(
    channel_id: str,
    receiver: Receiver,
    message: Message,
    who: Mapping[Receiver, Described],
    *,
    is_unknown: bool,
) -> Pair:
    receipt = message.receipts.get(receiver)
    is_held = receipt is not None and receipt.outcome == "held"
    missing: MissingClass | None = None
    reason = ""
    if not is_held and not is_unknown:
        missing, reason = _loss(receiver, message)

    is_delivered = is_held and not is_unknown
    delivery = report = None
    if receipt is not None and is_delivered:
        sent_at = message.corrected_sent_at
        is_timed = receipt.received_at is not None and message.clock != "receiver"
        delivery = delay_class((receipt.received_at or 0) - sent_at if is_timed else None)
        report = delay_class(receipt.created_at["held"] - sent_at)
    return Pair(
        channel_id,
        receiver,
        who.get(receiver, Described()),
        _traits(message, who),
        is_unknown=is_unknown,
        missing=missing,
        reason=reason,
        # A receiver that reports the message itself needs a voucher of another installation.
        is_corroborated=not is_unknown
        and (
            receiver not in message.vouchers
            or bool(message.installations - {installation_of(receiver)})
        ),
        is_recovered=receipt is not None and is_delivered and "unreadable" in receipt.created_at,
        via=receipt.via if receipt is not None and is_delivered else "",
        delivery_delay=delivery,
        report_delay=report,
    )


def _loss(receiver: Receiver, message: Message) -> tuple[MissingClass, str]:
    """The class and the reason of a pair that is not held."""
    receipt = message.receipts.get(receiver)
    if receipt is not None:
        outcome = receipt.outcome
        assert outcome in ("unreadable", "dropped")
        return outcome, receipt.reasons[outcome]
    if message.was_not_sent:
        return "not_sent", message.failure or ""
    return "not_arrived", ""


Spans = list[tuple[float, float]]
"""The spans of sentAt in which a receiver should hold messages, both ends included"""

_EVERYTHING: Spans = [(-inf, inf)]


def _spans(
    receiver: Receiver,
    start: int,
    end: int,
    membership: Membership,
    *,
    seen: list[int],
    said: list[Joining],
    measured: list[Message],
) -> Spans | None:
    """The spans of a reporting receiver; None if it does not count."""
    if membership == "window" and not any(
        # Messages that are not believed count too: the receiver was there to get them.
        receiver in message.vouchers
        for message in measured
    ):
        return None

    if said:
        parts: Spans = list(stays(said, min(seen, default=None)))
    elif membership == "window":
        return _EVERYTHING
    elif seen:
        parts = [(min(seen), max(seen))]
    else:
        return None  # it has only author's marks, so it has neither first nor last

    if membership == "bracketed":
        counts = any(first < start and last >= end for first, last in parts)
        return _EVERYTHING if counts else None
    return parts if any(first < end and last >= start for first, last in parts) else None
