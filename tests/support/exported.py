"""What a server holds, as its export tells, for the brute-force model."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from oracle.model import Joining, Memberships, Numbers, OracleSample, Receiver


class Held(NamedTuple):
    samples: list[OracleSample]
    numbers: dict[str, Numbers]
    memberships: Memberships


def read_export(lines: Iterable[str]) -> Held:
    """Receivers have their pseudonyms as keys, and the pseudonyms of their installations."""
    samples = []
    numbers: defaultdict[str, dict[int, int | None]] = defaultdict(dict)
    said: defaultdict[tuple[Receiver, str], list[Joining]] = defaultdict(list)
    for line in map(json.loads, lines):
        if "firstSequence" in line:
            first, last = line["firstSequence"], line["lastSequence"]
            island = numbers[line["installationId"]]
            # What lies between says nothing of where the island begins and ends.
            island.update(dict.fromkeys(range(first, last + 1)))
            if "firstSentAt" in line:
                island[first] = line["firstSentAt"]
                island[last] = line["lastSentAt"]
            continue
        key = line["receiverPublicKey"]
        receiver = (key, f"dt-installation:{key.rpartition(':')[2]}")
        if "messageId" in line:
            samples.append(
                OracleSample(
                    line["messageId"],
                    line["channelId"],
                    key,
                    line["sentAt"],
                    line["createdAt"],
                    receiver[1],
                    line.get("sentByReceiver", False),
                )
            )
            continue
        of = said[receiver, line["channelId"]]
        if "joinedSaidAt" in line:
            of.append((line["joinedSaidAt"], line["joinedAt"], None))
        if "leftSaidAt" in line:
            of.append((line["leftSaidAt"], None, line["leftAt"]))
    return Held(samples, dict(numbers), dict(said))
