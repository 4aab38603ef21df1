"""What becomes of each message, at its author and at each receiver, stage by stage. Pure."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from devtelemetry.model import LossClass, SentAtClock, Via
from devtelemetry.simulator.away import awake_at, offline_until
from devtelemetry.simulator.chance import pick
from devtelemetry.simulator.loss import (
    DROP_REASONS,
    KEY_REASONS,
    SENDING_REASONS,
    LossModel,
    path_of,
)
from devtelemetry.simulator.spec import (
    LONGEST_DELAY_MS,
    Delivery,
    Interruption,
    Membership,
    Message,
    Node,
    Spec,
)

_AGAIN_MS = (2_000, 20_000)  # from sending a message to sending it again
_KEY_MS = (1_000, 20_000)  # from a message to its late key


def stamp(
    spec: Spec, message: Message, interruptions: Mapping[int, Interruption], dice: random.Random
) -> Message:
    """Decides by whose clock the receivers of a message report when it was sent."""
    luck = dice.random()
    if luck < spec.server_stamped:
        return message._replace(sent_at=message.at_ms, sent_at_clock=SentAtClock.SERVER)
    if luck >= spec.server_stamped + spec.receiver_stamped or message.author is None:
        return message
    disturbed = interruptions.get(message.author)
    if disturbed is not None and not disturbed.is_down:
        # The author's report may be lost. Whose clock decides would then be chance.
        return message
    return message._replace(sent_at_clock=SentAtClock.RECEIVER)


def send(spec: Spec, nodes: Sequence[Node], message: Message, dice: random.Random) -> Message:
    """Decides whether a message leaves its author's device; an outsider's always does."""
    luck, is_told, reason = dice.random(), dice.random(), dice.random()
    if message.author is None:
        return message
    author = nodes[message.author]
    if luck >= spec.loss_at(message.at_ms).of_sending(author.app_version):
        return message
    return message._replace(
        # The server never saw it, so it did not stamp it.
        sent_at=message.at_ms + author.skew_ms,
        sent_at_clock=SentAtClock.AUTHOR,
        is_sent=False,
        failure=pick(SENDING_REASONS, reason) if is_told < spec.loss.told else None,
    )


def deliver(
    spec: Spec,
    nodes: Sequence[Node],
    members: Mapping[str, list[Membership]],
    interruptions: Mapping[int, Interruption],
    offline: Sequence[list[int]],
    messages: Sequence[Message],
    dice: random.Random,
    delays_dice: random.Random,
    stages_dice: random.Random,
) -> list[Delivery]:
    deliveries = []
    for message in messages:
        loss = spec.loss_at(message.at_ms)
        reaches_nobody = dice.random() < spec.loss.everyone
        author_server = "" if message.author is None else nodes[message.author].server
        for membership in members[message.channel_id]:
            number = membership.node
            if number == message.author:
                continue
            if not membership.joined_ms <= message.at_ms < membership.left_ms:
                continue
            node = nodes[number]
            is_lost = dice.random() < loss.of_pair(
                node.platform,
                node.app_version,
                message.message_type,
                path_of(author_server, node.server),
                message.channel_id,
            )
            delay_ms = dice.randint(50, LONGEST_DELAY_MS)
            if delays_dice.random() < spec.slow:
                longer = delays_dice.uniform(0, math.log(spec.slowest_ms / LONGEST_DELAY_MS))
                delay_ms = round(LONGEST_DELAY_MS * math.exp(longer))
            luck = _Luck(*(stages_dice.random() for _ in range(4)))
            if not message.is_sent:
                pair = Delivery(
                    message,
                    number,
                    None,
                    missing=LossClass.NOT_SENT,
                    reason=message.failure or "",
                )
            else:
                pair = Delivery(message, number, None, missing=LossClass.NOT_ARRIVED)
                back_ms = offline_until(spec, offline[number], message.at_ms)
                leaves = _on_its_way(spec, message, luck, back_ms, is_lost=is_lost)
                if leaves is not None and not reaches_nobody:
                    pair = _read(spec.loss, pair, leaves, delay_ms, luck, interruptions.get(number))
            deliveries.append(pair)
    return deliveries


class _Luck(NamedTuple):
    """Four numbers in [0, 1) for each pair, always drawn, so that later pairs stay the same."""

    another_way: float
    reading: float
    waits: float
    reason: float

    def wait_ms(self, between: tuple[int, int]) -> int:
        least, most = between
        return least + int((most - least) * self.waits)


def _on_its_way(
    spec: Spec, message: Message, luck: _Luck, back_ms: int | None, *, is_lost: bool
) -> tuple[Via, int] | None:
    """How and when a message leaves for a receiver; None: it does not reach it.

    back_ms  when the receiver is online again; None: it is online
    """
    if back_ms is not None:
        has_history = luck.another_way < spec.loss.history and back_ms < spec.until_ms
        return (Via.HISTORY, back_ms) if has_history else None
    if is_lost:
        is_resent = luck.another_way < spec.loss.resent
        return (Via.RESENT, message.at_ms + luck.wait_ms(_AGAIN_MS)) if is_resent else None
    return Via.LIVE, message.at_ms


def _read(
    loss: LossModel,
    pair: Delivery,
    leaves: tuple[Via, int],
    delay_ms: int,
    luck: _Luck,
    interruption: Interruption | None,
) -> Delivery:
    """What the receiver's app does with a message that arrives."""
    via, left_ms = leaves
    comes_ms = awake_at(interruption, left_ms + delay_ms)
    if comes_ms != left_ms + delay_ms:
        via = Via.HISTORY  # the message waited until the app ran
    no_key = loss.no_key + loss.late_key
    if luck.reading >= no_key + loss.dropped:
        return pair._replace(arrives_ms=comes_ms, missing=None, via=via)
    failed = pair._replace(failed_ms=comes_ms, via=via)
    if luck.reading >= no_key:
        reason = pick(DROP_REASONS, luck.reason)
        return failed._replace(missing=LossClass.DROPPED, reason=reason)
    failed = failed._replace(missing=LossClass.UNREADABLE, reason=pick(KEY_REASONS, luck.reason))
    if luck.reading < loss.no_key:
        return failed
    read_ms = awake_at(interruption, comes_ms + luck.wait_ms(_KEY_MS))
    return failed._replace(arrives_ms=read_ms, missing=None)
