"""The memory of a server that remembers ids, while every sample names something new."""

import argparse
import os
import random
from itertools import pairwise

from bench.machine import conditions, memory
from bench.report import Result, Table
from devtelemetry.ingest.caps import CHANNEL, KEY, TYPE
from devtelemetry.ingest.known import UNKNOWN_RECEIVER, Known, KnownMessage, Learned
from devtelemetry.model import Source
from devtelemetry.store.keyring import Keyring

_NOW_MS = 1_796_000_000_000
_LOOK = 5_000  # samples between two looks
_IN_A_CHANNEL = 25


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--samples", type=int, default=600_000)


def run(options: argparse.Namespace) -> Result:
    about = conditions()
    looks = list(_fill(options.samples))
    falls = [before - after for before, after in pairwise(looks)]
    half = looks[len(looks) // 2 :]
    rows = [
        ("grew by, at most", f"{max(looks):.0f}"),
        ("in the second half, from / to", f"{min(half):.0f} / {max(half):.0f}"),
        (f"largest fall within {_LOOK:,} samples", f"{max(0.0, *falls):.0f}"),
    ]
    title = f"Resident memory, MiB, {options.samples:,} samples"
    return Result("Remembered", about, [Table(title, ("", ""), rows)], figures={"looks": looks})


def _fill(samples: int) -> list[float]:
    """Remembers as ingest does, each sample of another receiver; the growth in MiB at each look."""
    dice = random.Random("names")
    keyring = Keyring(bytes(32))
    known = Known(keyring.memory)
    before, looks = _resident(), []
    for number in range(samples):
        ids = keyring.receiver(f"0x04{dice.getrandbits(512):0128x}", f"{number:032x}")
        channel = keyring.channel(f"chat {number // _IN_A_CHANNEL:0100}")
        kind = keyring.kind(Source.GRPC, name := f"TYPE_{dice.getrandbits(40)}")
        message = keyring.message(f"0x{dice.getrandbits(256):064x}")
        at = _NOW_MS + number
        named = [
            (KEY, ids.receiver_id, 0),
            (CHANNEL, ids.receiver_id, channel),
            (TYPE, ids.receiver_id, kind),
        ]
        known.remember(
            Learned(
                channels={channel: ""},
                kinds={kind: (name, Source.GRPC)},
                messages={(channel, message): KnownMessage(at, 1, at, kind, (at, at), 0)},
                memberships={(channel, ids.receiver_id): (at, at)},
                receivers={ids.receiver_id: UNKNOWN_RECEIVER},
                names=dict.fromkeys(named),
            )
        )
        keyring.memory.make_room()
        if number % _LOOK == 0:
            looks.append(_resident() - before)
    return looks


def _resident() -> float:
    return memory([os.getpid()]).resident
