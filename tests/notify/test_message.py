"""The messages about problems, for people and for programs."""

import json
import re
from pathlib import Path

import pytest

from devtelemetry.model import HOUR
from devtelemetry.notify.message import (
    MOST_TOLD,
    Notice,
    document_of,
    message_of,
    plain,
    trial,
)
from devtelemetry.problems.explain import Kind, Unit
from notify.test_notices import BAD, END, problem

PAGE = Path(__file__).parents[2] / "docs" / "problems.md"
URL = "https://telemetry.example"


def notice(unit: Unit = BAD, *, has_ended: bool = False) -> Notice:
    return Notice(
        (unit.kind.value, unit.value, unit.other),
        document_of(problem(unit)),
        END + HOUR if has_ended else None,
    )


def test_a_new_problem_is_told_with_what_since_when_how_many_how_sure_and_where() -> None:
    message = message_of([notice()], URL)
    assert message.title == "New problem: App version 2.30.1"
    assert message.body == (
        "New: App version 2.30.1: 91.72 % delivered since 2026-03-09 05:00 UTC, 96.28 % before. "
        "Of 22,863 deliveries to 54 or more receivers, 1,043 more were lost than expected. "
        "Chance alone would show this in fewer than 1 of 1,000 months.\n"
        f"{URL}/?by=app_version\n\nAll: {URL}/"
    )
    assert message.kind == "warning"
    (one,) = message.document["new"]
    assert one["link"] == f"{URL}/?by=app_version"
    assert (one["value"], one["lost_more"], one["ended"]) == ("2.30.1", 1_043, None)


def test_an_end_says_since_when() -> None:
    message = message_of([notice(has_ended=True)], None)
    assert message.title == "Problem ended: App version 2.30.1"
    assert message.body == (
        "Ended: App version 2.30.1. It began 2026-03-09 05:00 UTC and has not been listed since "
        "2026-03-09 06:00 UTC."
    )
    assert message.kind == "success"
    (one,) = message.document["ended"]
    assert (one["ended"], one["link"]) == ("2026-03-09T06:00:00Z", None)


def test_of_many_some_are_told_and_all_are_counted() -> None:
    units = [Unit(Kind.CHANNEL, f"c{number}") for number in range(MOST_TOLD + 5)]
    message = message_of([notice(unit, has_ended=unit is units[0]) for unit in units], None)
    assert message.title == f"{MOST_TOLD + 4} problems new, 1 problem ended"
    assert message.body.count("New: ") == MOST_TOLD
    assert message.body.endswith("And 5 more.")
    assert (len(message.document["new"]), message.document["more"]) == (MOST_TOLD, 5)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("App version 2.30.1-rc.1 on ios", "App version 2.30.1-rc.1 on ios"),
        ("Channel https://evil.example/x", "Channel https___evil․example_x"),
        ("Channel @everyone <!here>", "Channel _everyone __here_"),
        ("Channel [click](evil.example)", "Channel _click__evil․example_"),
        ("Channel *b* `c` 日本", "Channel _b_ _c_ 日本"),
    ],
)
def test_a_name_is_no_link_no_mention_and_no_style(name: str, told: str) -> None:
    assert plain(name) == told


def test_a_hostile_channel_is_plain_in_the_text_and_whole_in_the_document() -> None:
    unit = Unit(Kind.CHANNEL, "@all http://evil.example")
    message = message_of([notice(unit)], None)
    for text in (message.title, message.body):
        assert "@all" not in text
        assert "evil.example" not in text
    assert message.document["new"][0]["value"] == unit.value


def test_the_page_says_what_a_webhook_gets() -> None:
    block = re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    shown = json.loads(block[1])
    made = message_of([notice()], URL).document
    assert shown.keys() == made.keys() == trial(None).document.keys()
    assert shown["new"][0].keys() == made["new"][0].keys()
