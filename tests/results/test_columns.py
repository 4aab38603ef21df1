"""The list of computed values, compared with all places that must agree with it."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest

from devtelemetry.figures.document import window_as_json
from devtelemetry.model import (
    ChannelReliability,
    Counts,
    Figures,
    MembershipPolicy,
    Spreads,
    Window,
    WindowReliability,
    WindowState,
)
from devtelemetry.results.columns import (
    APART,
    COLUMNS,
    COUNTS,
    OF_RECEIVERS,
    REASONS,
    RELIABILITY,
    SAMPLED,
    SPREADS,
    UNSEEN,
    Column,
    Level,
)
from devtelemetry.results.sums import sum_of_channels, sum_of_windows
from devtelemetry.store.database import Database

WINDOW_KEY = {"timeframe", "window_start", "membership"}
# Columns beside the figures: the window, channel or group of the row, and its state.
BESIDE = {
    Level.WINDOW: WINDOW_KEY
    | {"window_end", "state", "revision", "computed_at"}
    | {"published_provisional", "published_settled", "published_at", "published_again"},
    Level.CHANNEL: WINDOW_KEY | {"channel_id"},
    Level.GROUP: WINDOW_KEY | {"channel_id", "dimension", "is_rest", "value"},
}


def names(columns: tuple[Column, ...]) -> list[str]:
    return [column.name for column in columns]


@pytest.mark.parametrize("level", BESIDE, ids=lambda level: level.name)
async def test_a_table_has_the_columns_of_its_level_and_no_others(
    database: Database, level: Level
) -> None:
    async with database.acquire() as connection:
        found = await connection.fetch(
            "select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute "
            "where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
            f"reliability_{str(level.name).lower()}",
        )
    stored = {row["name"]: row["type"] for row in found}
    listed = {column.name: column.type for column in COLUMNS if level in column.levels}
    assert {name: of for name, of in stored.items() if name not in BESIDE[level]} == listed
    assert stored.keys() >= BESIDE[level]


def test_what_holds_the_values_has_a_field_for_each_column() -> None:
    assert [field.name for field in fields(Counts)] == names(COUNTS)
    assert list(Spreads._fields) == names(SPREADS)
    of_receivers = [*names(OF_RECEIVERS), REASONS.name, *names(APART), *names(SAMPLED)]
    assert [field.name for field in fields(Figures)][-len(of_receivers) :] == of_receivers
    of_window = {field.name for field in fields(WindowReliability)}
    assert of_window.issuperset(names((RELIABILITY, *UNSEEN)))


def test_what_has_a_name_in_json_stands_there_under_it() -> None:
    counts = Counts(*range(10, 10 + len(COUNTS)))
    of_receivers: dict[str, Any] = {
        column.name: 0.5 + at / 100 for at, column in enumerate(OF_RECEIVERS)
    } | {column.name: 70 + at for at, column in enumerate((*APART, *SAMPLED))}
    start = datetime(2026, 3, 2, 10, tzinfo=UTC)
    window = WindowReliability(
        "1h",
        Window(start, start.replace(hour=11)),
        MembershipPolicy.PRESENT,
        WindowState.SETTLED,
        0.25,
        counts,
        1,
        start,
        (ChannelReliability("c", counts, Figures(**of_receivers)),),
        Figures(**of_receivers),
        unseen=7.5,
        sample_coverage=0.75,
    )
    document = window_as_json(window)
    values = {
        **{column.name: getattr(counts, column.name) for column in COUNTS},
        **of_receivers,
        **{column.name: getattr(window, column.name) for column in (RELIABILITY, *UNSEEN)},
    }
    for column in COLUMNS:
        if column.json is not None:
            assert document[column.json] == values[column.name]
            if Level.CHANNEL in column.levels:
                assert document["channels"][0][column.json] == values[column.name]


def test_of_several_windows_there_are_the_most_receivers_and_sums_of_all_else() -> None:
    assert sum_of_windows(Counts(1, 9, 3, 4, 5, 6), Counts(10, 8, 30, 40, 50, 60)) == Counts(
        11, 9, 33, 44, 55, 66
    )


def test_of_several_channels_every_count_is_a_sum() -> None:
    assert sum_of_channels([Counts(1, 2, 3, 4, 5, 6)] * 2) == Counts(2, 4, 6, 8, 10, 12)
    assert sum_of_channels([]) == Counts(0, 0, 0, 0, 0, 0)
