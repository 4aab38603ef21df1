"""How far k liars among n receivers move the figures: a part of bench/truth.py."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.lab import RULES, Lab, spec_of, truth_of
from bench.liars import Hand, are_silent, held_once, invents, invents_a_tenth
from bench.pushes import Push, pushes
from bench.report import Table
from devtelemetry.model import MINUTE_MS, Counts, WindowReliability
from devtelemetry.simulator.loss import LossModel
from devtelemetry.simulator.spec import World
from devtelemetry.simulator.truth import Pairs, TrueWindow
from devtelemetry.simulator.world import make_world

LIARS_AMONG = ((1, 5), (1, 10), (2, 10), (1, 20), (4, 20), (1, 50), (3, 50), (10, 50))
"""(liars, receivers): one liar, a twentieth and a fifth of the receivers"""

# The rules before vouchers were counted by installation and network, and the rules of now.
_BEFORE = replace(RULES, fewest_installations=10**9)
_NOW = replace(RULES, weight_cap=0.1)
_CHANNELS = 4
_LIARS_ADDRESS = "203.0.113.{}"  # all in one network
_OWN_ADDRESS = "10.{}.{}.1"  # each in a network of its own


def _keys(liars: int) -> list[Hand]:
    address = _LIARS_ADDRESS.format(1)
    return [Hand(f"key {number}", "one phone", address) for number in range(liars)]


def _one_network(liars: int) -> list[Hand]:
    return [Hand(f"{number}", "", _LIARS_ADDRESS.format(number + 1)) for number in range(liars)]


def _networks(liars: int) -> list[Hand]:
    return [Hand(f"{number}", "", _OWN_ADDRESS.format(200, number)) for number in range(liars)]


SOURCES: Mapping[str, Callable[[int], list[Hand]]] = {
    "one installation, k keys": _keys,
    "k installations, one network": _one_network,
    "k installations, k networks": _networks,
}

ATTACKS: Mapping[str, Callable[[World, Sequence[Hand]], list[Push]]] = {
    "invent as many messages as there are": lambda world, hands: invents(world, hands=hands),
    "invent a tenth": invents_a_tenth,
    "join, and hold nothing": are_silent,
    "join, hold one message and then nothing": held_once,
}


@dataclass(frozen=True, slots=True)
class Moved:
    """How far the liars move delivery ratios, in points."""

    receivers: int
    liars: int
    source: str
    attack: str
    window_before: float
    window: float
    channel_before: float  # of the channel that moves furthest
    channel: float


async def colluders(lab: Lab, options: argparse.Namespace) -> tuple[list[Table], Any]:
    moved = [
        one
        for liars, receivers in LIARS_AMONG
        for source in (SOURCES if liars > 1 else list(SOURCES)[-1:])
        for one in await _moved(lab, options.seed, receivers, liars, source)
    ]
    rows: dict[tuple[int, int, str], dict[str, Moved]] = {}
    for one in moved:
        rows.setdefault((one.receivers, one.liars, one.source), {})[one.attack] = one
    return [
        Table(
            f"By how many points k liars of n receivers move {what}: before / now",
            ("n", "k", "who they are", *ATTACKS),
            [
                (
                    str(receivers),
                    str(liars),
                    source if liars > 1 else "one",
                    *(cell(of_attack[attack]) for attack in ATTACKS),
                )
                for (receivers, liars, source), of_attack in rows.items()
            ],
        )
        for what, cell in (
            ("the window", lambda one: _beside(one.window_before, one.window)),
            ("the channel that they move furthest", _of_channel),
        )
    ], moved


def _of_channel(one: Moved) -> str:
    return _beside(one.channel_before, one.channel)


def _beside(before: float, now: float) -> str:
    return " / ".join(f"{100 * one:+.1f}".replace("-", "−") for one in (before, now))


async def _moved(lab: Lab, seed: int, receivers: int, liars: int, source: str) -> list[Moved]:
    found = []
    for attack, lies in ATTACKS.items():
        # All honest receivers are in all channels, so each channel has n receivers.
        spec = spec_of(
            lab,
            seed,
            loss=LossModel(independent=0.03),
            nodes=receivers - liars,
            second_devices=0.0,
            channels=_CHANNELS,
            channels_of_user=_CHANNELS,
            messages_per_hour=30,
            joining=0.0,
            leaving=0.0,
        )
        world = make_world(spec)
        network = {node.public_key: _OWN_ADDRESS.format(0, node.number) for node in world.nodes}
        honest = [
            push._replace(address=network[push.request.reporter.receiver_public_key])
            for push in pushes(world, push_ms=5 * MINUTE_MS)
        ]
        lying = lies(world, SOURCES[source](liars))
        await lab.take_in(sorted([*honest, *lying], key=lambda push: push.at_ms))
        (window_before, channel_before), (window, channel) = [
            _errors(await lab.window(world, rules), truth_of(world)) for rules in (_BEFORE, _NOW)
        ]
        found.append(
            Moved(receivers, liars, source, attack, window_before, window, channel_before, channel)
        )
    print(f"truth: {liars} of {receivers}, {source}", file=sys.stderr, flush=True)
    return found


def _errors(window: WindowReliability, truth: TrueWindow) -> tuple[float, float]:
    """Measured minus true: of the window, and of the channel with the greatest error."""
    of_channels = [
        _error(channel.counts, truth.channels[channel.channel_id]) for channel in window.channels
    ]
    return _error(window.counts, truth.total), max(of_channels, key=abs)


def _error(measured: Counts, true: Pairs) -> float:
    assert measured.delivery_ratio is not None
    assert true.delivery_ratio is not None
    return measured.delivery_ratio - true.delivery_ratio
