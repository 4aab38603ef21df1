"""The oracle's breakdowns by receiver and type, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oracle.cases import (
    END,
    IN,
    MINUTE,
    START,
    WORKED,
    everywhere,
    held,
    sample,
    with_platform,
    worked,
)
from oracle.groups import Groups
from oracle.messages import Described
from oracle.model import OracleSample, compute

if TYPE_CHECKING:
    from collections.abc import Mapping


def shown(found: Groups) -> dict[str | None, tuple[int, ...]]:
    return {
        value: (g.messages, g.receivers, g.expected, g.missing, g.corroborated)
        for value, g in found.items()
    }


def test_groups_of_receivers_by_what_they_said() -> None:
    window = worked()

    # a: ios; b: android; c never said. The rows of the tables in oracle.cases.
    assert shown(window.groups("platform")) == {
        "ios": (6, 2, 6, 1, 4),
        "android": (6, 2, 6, 2, 6),
        "": (4, 1, 4, 2, 4),
    }
    assert shown(window.channels["d"].groups("platform")) == {
        "ios": (2, 1, 2, 0, 1),
        "android": (2, 1, 2, 1, 2),
    }
    android = window.groups("platform")["android"]
    assert android.over_channels == android.over_memberships == (2, 2, 6, 20)  # 1, 4 and 1, 2
    assert android.over_receivers == (1, 4, 12, 36)
    assert shown(window.groups("app_version")) == {"": (6, 5, 16, 5, 14)}


def test_groups_that_are_too_small_are_one() -> None:
    window = worked(smallest_group=2)

    assert shown(window.groups("platform")) == {None: (6, 5, 16, 5, 14)}
    # In a channel, one group of everybody would only repeat the channel's counts.
    assert window.channels["c"].groups("platform") == {}
    # Nobody said a version, so in d two are in the group of the empty value.
    assert shown(window.channels["d"].groups("app_version")) == {"": (2, 2, 4, 1, 3)}


def concerned(channel: str, said: Mapping[str, str]) -> list[OracleSample]:
    """All keys hold one message. said: key → its platform."""
    samples = [*everywhere(*said, channel_id=channel), *held({"m": "".join(said)}, channel)]
    return with_platform(samples, **said)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        # The smallest shown group joins the one that is left over; of equal ones the last.
        ({**dict.fromkeys("abc", "ios"), **dict.fromkeys("def", "Z"), "g": "web"}, {"Z", None}),
        ({**dict.fromkeys("abc", "ios"), **dict.fromkeys("defh", "Z"), "g": "web"}, {"Z", None}),
        ({**dict.fromkeys("abch", "ios"), **dict.fromkeys("def", "Z"), "g": "web"}, {"ios", None}),
        # Three receivers are enough, with three values or with two.
        ({**dict.fromkeys("abc", "ios"), "d": "tv", "e": "web", "f": "Z"}, {"ios", None}),
        ({**dict.fromkeys("abc", "ios"), "d": "tv", "e": "web", "f": "web"}, {"ios", None}),
        ({**dict.fromkeys("abc", "ios"), **dict.fromkeys("def", "")}, {"ios", ""}),
        ({"a": "ios", "b": "ios"}, {None}),
    ],
)
def test_nobody_can_be_subtracted(said: dict[str, str], found: set[str | None]) -> None:
    window = compute(concerned("c", said), START, END, "present")

    assert window.groups("platform").keys() == found
    of_channel = window.channels["c"].groups("platform")
    assert of_channel.keys() == (set() if found == {None} else found)


def test_a_receiver_in_several_channels_is_one() -> None:
    said = {"a": "ios", "b": "ios", **dict.fromkeys("cde", "web")}
    samples = concerned("c", said) + concerned("d", said)
    window = compute(samples, START, END, "present")

    # ios has four memberships, but two receivers.
    assert window.groups("platform").keys() == {None}
    assert window.groups("platform")[None].receivers == 10


def test_groups_by_type_of_message() -> None:
    # In c, m1 and m3 are of type T, the rest of U. In d, all are of U. Receiver c is not in d.
    samples = [
        replace(s, message_type="T" if s.message_id in ("m1", "m3") else "U") for s in WORKED
    ]
    samples = [replace(s, message_type="U") if s.channel_id == "d" else s for s in samples]
    window = compute(samples, START, END, "present", smallest_group=3)

    # T: a 2, 0, 1; b 2, 1, 2; c 2, 1, 2
    # U: a 2, 1, 2; b 2, 0, 2; c 2, 1, 2 (m2 and m4); and all of d
    assert shown(window.groups("message_type")) == {
        "T": (2, 3, 6, 2, 5),
        "U": (4, 5, 10, 3, 9),
    }
    assert window.groups("message_type")["U"].over_channels == (2, 5, 15, 45)  # 2, 6 and 1, 3
    # a: 1, 3; b: 1, 4; c: 1, 2
    assert window.groups("message_type")["U"].over_receivers == (3, 3, 9, 29)
    assert shown(window.channels["c"].groups("message_type")).keys() == {"T", "U"}
    assert window.channels["d"].groups("message_type") == {}  # it concerns two


def test_types_that_concern_the_same_few_are_not_more_together() -> None:
    # T concerns three receivers, in c. U in d and V in e both concern a and b: two, not four.
    samples = [
        *everywhere("a", "b", "c"),
        *everywhere("a", "b", channel_id="d"),
        *everywhere("a", "b", channel_id="e"),
        *held({"m": "abc"}),
        *held({"m": "ab"}, "d"),
        *held({"m": "ab"}, "e"),
    ]
    types = {"c": "T", "d": "U", "e": "V"}
    samples = [replace(one, message_type=types[one.channel_id]) for one in samples]

    def found(smallest: int) -> dict[str | None, tuple[int, ...]]:
        window = compute(samples, START, END, "present", smallest_group=smallest)
        return shown(window.groups("message_type"))

    assert found(2) == {"T": (1, 3, 3, 0, 3), "U": (1, 2, 2, 0, 2), "V": (1, 2, 2, 0, 2)}
    assert found(3) == {None: (3, 7, 7, 0, 7)}


def test_what_a_receiver_said_last_describes_it() -> None:
    said = [
        replace(sample("m", "a", IN, IN + 2 * MINUTE), platform="ios", app_version="2"),
        replace(sample("n", "a", IN, IN + MINUTE), platform="android", app_version="1"),
        # It says no version.
        replace(sample("o", "a", IN, IN + 3 * MINUTE), platform="web"),
    ]
    window = compute([*said, *held({"m": "b"})], START, END, "window", heartbeats={("a", ""): END})
    assert window.channels["c"].members == {("a", ""): Described("web", "2")}

    beats = {
        ("a", ""): [
            (IN + 4 * MINUTE, "", "3"),
            (IN, "tv", "0"),
            # In one minute the greatest value counts: "web", not "watch".
            (IN + 3 * MINUTE + 59_999, "watch", ""),
        ]
    }
    window = compute(said, START, END, "window", heartbeats={("a", ""): END}, descriptions=beats)
    assert window.channels["c"].members == {("a", ""): Described("web", "3")}
