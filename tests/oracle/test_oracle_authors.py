"""Breakdowns by a message's author: dimensions of authors, paths, and tables of two dimensions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from oracle.cases import END, IN, MINUTE, START, everywhere, held, mark, sample
from oracle.messages import Described
from oracle.model import MEMBERSHIPS, OracleSample, canonical, compute
from oracle.samples import EnvelopeEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oracle.groups import Dimension, OracleGroup
    from oracle.model import OracleWindow


def saying(samples: Iterable[OracleSample], **said: Described) -> list[OracleSample]:
    """The samples, each with what its receiver reports of itself."""
    return [
        replace(one, platform=platform, app_version=app_version, server=server)
        for one in samples
        for platform, app_version, server in [said.get(one.receiver_public_key, Described())]
    ]


def shown(found: Mapping[Any, OracleGroup]) -> dict[Any, tuple[int, ...]]:
    return {
        value: (g.messages, g.receivers, g.expected, g.missing, g.corroborated)
        for value, g in found.items()
    }


# In c ann and bob write two messages each, and zoe one. The author of one more is not known. ann
# and bob have version 1, zoe has version 2. x: holds it, *: wrote it.
#
#        a1  a2  b1  b2  z1  u1    expected  missing
#  ann   *   *   x   x   -   x     4         1
#  bob   x   -   *   *   -   x     4         2
#  zoe   x   x   x   x   *   -     5         1
#  dan   x   x   x   -   -   x     6         2
SAID = {
    "a": Described("ios", "1", "A"),
    "b": Described("android", "1", "B"),
    "z": Described("ios", "2", "B"),
    "d": Described("android", "2", ""),
}
HELD = {"a1": "bzd", "a2": "zd", "b1": "azd", "b2": "az", "z1": "", "u1": "abd"}


def written() -> list[OracleSample]:
    authors = [
        sample(message, message[0], IN + n * MINUTE, wrote=True)
        for n, message in enumerate(HELD)
        if message[0] != "u"
    ]
    return saying([*everywhere(*SAID), *held(HELD), *authors], **SAID)


def window(smallest_group: int = 1) -> OracleWindow:
    return compute(written(), START, END, "present", smallest_group=smallest_group)


@pytest.mark.parametrize(
    ("dimension", "found"),
    [
        (
            "author_app_version",
            {
                # a1, a2, b1, b2: ann 2, 0; bob 2, 1; zoe 4, 0; dan 4, 1
                "1": (4, 4, 12, 2, 12),
                # z1: ann, bob and dan lack it
                "2": (1, 4, 3, 3, 3),
                # u1: all but zoe have it
                "": (1, 4, 4, 1, 4),
            },
        ),
        (
            "author_platform",
            {
                # a1, a2, z1: ann 1, 1; bob 3, 2; zoe 2, 0; dan 3, 1
                "ios": (3, 4, 9, 4, 9),
                # b1, b2: ann 2, 0; zoe 2, 0; dan 2, 1
                "android": (2, 4, 6, 1, 6),
                "": (1, 4, 4, 1, 4),
            },
        ),
        (
            "path",
            {
                # ann is the only one at A: her own messages go to nobody there.
                "A → A": (2, 1, 0, 0, 0),
                "A → B": (2, 2, 4, 1, 4),
                "B → A": (3, 1, 3, 1, 3),
                # bob and zoe, of b1, b2 and z1: bob 1, 1; zoe 2, 0
                "B → B": (3, 2, 3, 1, 3),
                # dan's server and u1's author are not known: dan 6, 2; ann, bob and zoe 3, 1
                "": (6, 4, 9, 3, 9),
            },
        ),
    ],
)
def test_groups_by_author(dimension: Dimension, found: dict[str, tuple[int, ...]]) -> None:
    assert shown(window().groups(dimension)) == found
    assert shown(window().channels["c"].groups(dimension)) == found


def test_clusters_are_authors_where_the_dimension_is_of_authors() -> None:
    version_1 = window().groups("author_app_version")["1"]

    # ann 6, 1; bob 6, 1
    assert version_1.over_receivers == version_1.over_memberships == (2, 2, 12, 72)
    assert version_1.over_channels == (1, 4, 24, 144)
    by_both = window().table("author_app_version", "app_version")["1", "2"]
    # Pairs of zoe and dan: with ann's messages 4, 0; with bob's 4, 1
    assert by_both.over_receivers == (2, 1, 4, 32)
    # All messages without a known author are one cluster.
    two = [*written(), sample("u2", "b", IN)]
    unknown = compute(two, START, END, "present", smallest_group=1).groups("author_platform")[""]
    # u1: 4, 1; u2: ann, zoe, dan lack it, bob's own is not corroborated: 3, 3
    assert unknown.over_receivers == (1, 16, 28, 49)


def test_a_table_of_two_dimensions() -> None:
    found = window().table("author_app_version", "app_version")

    assert shown(found) == {
        ("1", "1"): (4, 2, 4, 1, 4),
        ("1", "2"): (4, 2, 8, 1, 8),
        ("2", "1"): (1, 2, 2, 2, 2),
        # Only dan: zoe wrote it herself.
        ("2", "2"): (1, 2, 1, 1, 1),
        ("", "1"): (1, 2, 2, 0, 2),
        ("", "2"): (1, 2, 2, 1, 2),
    }
    # All messages are of one type.
    assert shown(window().table("platform", "message_type")) == {
        (platform, "CHAT_MESSAGE"): row
        for platform, row in shown(window().groups("platform")).items()
    }


def test_a_group_needs_authors_and_receivers() -> None:
    # Only zoe wrote with version 2. All groups have four receivers, so the last by value joins it.
    assert shown(window(2).groups("author_app_version")) == {
        "": (1, 4, 4, 1, 4),
        None: (5, 4, 15, 5, 15),
    }
    # A group needs three authors: ann, bob and zoe together.
    assert shown(window(3).groups("author_app_version")) == {
        "": (1, 4, 4, 1, 4),
        None: (5, 4, 15, 5, 15),
    }
    # It needs as many receivers. In other dimensions it needs only receivers.
    assert set(window(5).groups("author_app_version")) == {None}
    assert set(window(2).groups("app_version")) == {"1", "2"}


def test_who_does_not_report_is_author_enough() -> None:
    samples = [*everywhere("a", "b", "d"), *held({"m": "ab"})]
    found = compute(samples, START, END, "present").groups("author_platform")

    assert shown(found) == {"": (1, 3, 3, 1, 3)}


def test_the_author_is_who_said_first_that_it_wrote_it() -> None:
    def author(*samples: OracleSample, events: tuple[EnvelopeEvent, ...] = ()) -> str:
        found = canonical([sample("m", "x", IN, envelope_id="e"), *samples], events)
        receiver = found["c", "m"].author
        return "" if receiver is None else receiver[0]

    def wrote(key: str, after: int) -> OracleSample:
        return sample("m", key, IN, IN + after, wrote=True)

    assert author() == ""
    assert author(wrote("b", 1), wrote("a", 2)) == "b"
    assert author(wrote("b", 1), wrote("a", 1)) == "a"
    # Holding it does not show that a wrote it then.
    assert author(sample("m", "b", IN, IN), wrote("b", 3), wrote("a", 2)) == "a"
    assert author(replace(wrote("b", 1), sent_by_receiver=False, outcome="send_failed")) == "b"
    # Marks without a time come last.
    assert author(mark("m", "a"), wrote("b", 1)) == "b"
    assert author(mark("m", "b"), mark("m", "a")) == "a"
    assert author(wrote("b", 2), events=(EnvelopeEvent("sent", "e", "", IN + 1, "a"),)) == "a"
    assert author(wrote("b", 2), events=(EnvelopeEvent("send_failed", "e", "", IN, "a"),)) == "a"


def test_an_author_need_not_count_to_be_known() -> None:
    # w reports nothing after the window, so it does not count. Its version changes.
    gone = [
        sample("m", "w", IN, wrote=True, platform="ios", app_version="1"),
        sample("n", "w", IN, IN + 5 * MINUTE, wrote=True, app_version="2"),
    ]
    samples = [*everywhere("a", "b"), *held({"m": "a"}), *gone]

    for membership in MEMBERSHIPS:
        found = compute(samples, START, END, membership, smallest_group=1)
        assert set(found.channels["c"].groups("author_platform")) == {"ios"}
        assert set(found.channels["c"].groups("author_app_version")) == {"2"}
