"""The worked channel of docs/causes.md: ten messages, five receivers, a loss of every class."""

from devtelemetry.model import HOUR_MS, MINUTE_MS, Sample
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
    5: "ben",  # three on: a burst
    6: "ben",
    7: "ben",
    8: "ann cleo",  # scattered
    9: "dan",  # lost by one
}


def worked_channel(channel: str = "general") -> list[Sample]:
    """m1 to m10 at 10:05, 10:10, …; all hold one before and one after, and report after the hour.

    Who lacks which: LACKING. All say what they run but cleo, who says no version.
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
