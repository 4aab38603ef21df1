"""The worked channels of docs/causes.md: one with a loss of every pattern, one of every class."""

from typing import Any

from devtelemetry.model import HOUR_MS, MINUTE_MS, Outcome, Sample, Via
from support.store import START

PLATFORMS = {
    "ann": "android",
    "ben": "ios",
    "cleo": "desktop",
    "dan": "android",
    "eve": "desktop",
}
AUTHORS = ("ann", "eve", "ann", "cleo", "dan", "eve", "ann", "eve", "ann", "ben")
LACKING = {
    3: "ben cleo dan eve",  # lost by everyone
    5: "ben",  # a burst, with the next two
    6: "ben",
    7: "ben",
    8: "ann cleo",  # scattered
    9: "dan",  # lost by one
}


def worked_channel(channel: str = "general") -> list[Sample]:
    """m1 to m10 at 10:05, 10:10, … LACKING says who lacks which.

    All hold a message before and one after, and report after the hour. All report platform and
    version, except cleo, who reports no version.
    """

    def sample(message: str, receiver: str, sent_at: int, author: str = "") -> Sample:
        return Sample(
            message,
            channel,
            receiver,
            sent_at,
            START + HOUR_MS + 5_000,
            sent_by_receiver=receiver == author,
            topics=b"/waku/2/c1",
            envelope_id=f"0xe{message}",
            message_type="CHAT_MESSAGE",
            message_size=300,
            platform=PLATFORMS[receiver],
            app_version="" if receiver == "cleo" else "2.36.0",
        )

    samples = [
        sample(message, receiver, sent_at)
        for receiver in PLATFORMS
        for message, sent_at in (("before", START - MINUTE_MS), ("after", START + HOUR_MS))
    ]
    for number, author in enumerate(AUTHORS, start=1):
        samples += [
            sample(f"m{number}", receiver, START + 5 * number * MINUTE_MS, author)
            for receiver in PLATFORMS
            if receiver not in LACKING.get(number, "").split()
        ]
    return samples


def worked_outcomes(channel: str = "outcomes") -> list[Sample]:
    """Ann's messages m1 to m5 at 10:10, 10:20, …, and what became of them at ben, cleo and dan.

    Ben could not read m2 at first, and never m3. Cleo's app dropped m4, which did not arrive at ben
    and dan. m5 was never sent.
    """

    def sample(message: str, receiver: str, minute: int, **changes: Any) -> Sample:
        return Sample(
            message,
            channel,
            receiver,
            START + minute * MINUTE_MS,
            START + HOUR_MS + 5_000,
            message_type="CHAT_MESSAGE",
            platform=PLATFORMS[receiver],
            **changes,
        )

    no_key = {"outcome": Outcome.UNREADABLE, "reason": "no_session_key"}
    return [
        *(
            sample(message, receiver, minute)
            for receiver in ("ann", "ben", "cleo", "dan")
            for message, minute in (("before", -1), ("after", 60))
        ),
        *(sample(f"m{n}", "ann", 10 * n, sent_by_receiver=True) for n in range(1, 6)),
        sample("m5", "ann", 50, outcome=Outcome.SEND_FAILED, reason="no_peers"),
        sample("m1", "ben", 10, via=Via.LIVE),
        sample("m2", "ben", 20, **no_key),
        sample("m2", "ben", 20),
        sample("m3", "ben", 30, **no_key),
        sample("m1", "cleo", 10, via=Via.LIVE),
        sample("m2", "cleo", 20, via=Via.LIVE),
        sample("m3", "cleo", 30, via=Via.HISTORY),
        sample("m4", "cleo", 40, outcome=Outcome.DROPPED, reason="too_large"),
        *(sample(f"m{n}", "dan", 10 * n) for n in range(1, 4)),
    ]
