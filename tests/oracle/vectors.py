"""Reads the worked cases of tests/vectors and tests/vectors-2."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from oracle.samples import Joining, Lost, Membership, OracleSample, Receiver

VECTORS = Path(__file__).parents[1] / "vectors"
VECTORS_2 = Path(__file__).parents[1] / "vectors-2"


@dataclass(frozen=True)
class Vector:
    """A worked case: samples, and the exact figures of one window of them."""

    name: str
    why: str
    timeframe: str
    window_start: int
    window_end: int
    membership: Membership
    samples: list[dict[str, Any]]
    """Each as a line of an import file."""
    expect: dict[str, Any]
    """Ratios are written as fractions, "3/4"; null: no value."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    """Numbers that arrived with rejected samples, or are lost; each as a line of an import file."""

    memberships: list[dict[str, Any]] = field(default_factory=list)
    """Reports of joining and leaving, each as a line of an import file."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return self.samples + self.runs + self.memberships

    def oracle_memberships(self) -> dict[tuple[Receiver, str], list[Joining]]:
        """A line is one report, or two if joining and leaving were reported at two times."""
        said: defaultdict[tuple[Receiver, str], list[Joining]] = defaultdict(list)
        for one in self.memberships:
            receiver = (one["receiverPublicKey"], one.get("installationId", ""))
            times: defaultdict[int, dict[str, int]] = defaultdict(dict)
            for says, part in (("joinedSaidAt", "joinedAt"), ("leftSaidAt", "leftAt")):
                if says in one:
                    times[one[says]][part] = one[part]
            said[receiver, one["channelId"]] += [
                (said_at, parts.get("joinedAt"), parts.get("leftAt"))
                for said_at, parts in times.items()
            ]
        return dict(said)

    def oracle_lost(self) -> dict[str, list[Lost]]:
        """The numbers that installations report as lost."""
        lost: defaultdict[str, list[Lost]] = defaultdict(list)
        for run in self.runs:
            if run.get("lost", False):
                lost[run["installationId"]].append(
                    Lost(
                        run["firstSequence"],
                        run["lastSequence"],
                        run["firstSentAt"],
                        run["lastSentAt"],
                    )
                )
        return dict(lost)

    def oracle_numbers(self) -> dict[str, dict[int, int | None]]:
        """The numbers of the samples, and those of the runs, whose samples were rejected."""
        numbers: defaultdict[str, dict[int, int | None]] = defaultdict(dict)
        for sample in self.samples:
            if "sequence" in sample:
                numbers[sample["installationId"]][sample["sequence"]] = sample["sentAt"]
        for run in self.runs:
            if run.get("lost", False):
                continue
            assert "firstSentAt" not in run
            for number in range(run["firstSequence"], run["lastSequence"] + 1):
                numbers[run["installationId"]][number] = None
        return dict(numbers)

    def oracle_samples(self) -> list[OracleSample]:
        return [
            OracleSample(
                message_id=sample.get("messageId", ""),
                channel_id=sample["channelId"],
                receiver_public_key=sample["receiverPublicKey"],
                sent_at=sample["sentAt"],
                created_at=sample["createdAt"],
                installation_id=sample.get("installationId", ""),
                sent_by_receiver=sample.get("sentByReceiver", False),
                envelope_id=sample.get("envelopeId", ""),
                outcome=sample.get("outcome", "held"),
                reason=sample.get("reason", ""),
                via=sample.get("via", ""),
                sent_at_clock=sample.get("sentAtClock", "author"),
            )
            for sample in self.samples
        ]


def read_vectors(folder: Path = VECTORS) -> list[Vector]:
    """All worked cases of a directory, by name."""
    vectors = [Vector(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
    assert all(vector.membership in get_args(Membership) for vector in vectors)
    return vectors
