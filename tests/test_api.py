"""The HTTP server: figures, who may read them, health, metrics, and its own documentation."""

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from devtelemetry.api import app as api_app
from devtelemetry.api.app import create_app
from devtelemetry.api.models import ReliabilityDocument
from devtelemetry.figures.document import window_as_json
from devtelemetry.figures.read import Selection, read_windows
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.ingest.said import ClockSaid, Heartbeat
from devtelemetry.model import HOUR_MS, MINUTE_MS, Dimension, Sample, from_unix_ms
from devtelemetry.model.errors import DatabaseAway
from devtelemetry.runtime import metrics
from devtelemetry.runtime.clock import now_ms
from devtelemetry.server.wiring import aggregate_rules, http_access
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.tokens import Scope, create_token
from support.losses import worked_outcomes
from support.store import LATER, START, compute_window, store, store_hours

RELIABILITY = "/api/v1/reliability"


class AwayDatabase(Database):
    """A database that cannot be reached."""

    def __init__(self) -> None:
        super().__init__("postgresql://nobody@192.0.2.1/nothing")

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        raise DatabaseAway("connection refused")
        yield  # makes this function a generator, which a context manager needs


def client_of(database: Database, **options: object) -> httpx.AsyncClient:
    settings = Settings(**{"http_listen": "127.0.0.1:8080", **options})
    app = create_app(database, aggregate_rules(settings), http_access(settings))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")


async def get(database: Database, path: str, **params: str) -> httpx.Response:
    async with client_of(database) as client:
        return await client.get(path, params=params)


# ------------------------------------------------------------------------------------- figures


async def test_the_document_is_that_of_the_page_and_of_the_openapi_models(
    database: Database,
) -> None:
    await store_hours(database, 3, ["c1", "c2"])
    for hour in range(3):
        await compute_window(database, START + hour * HOUR_MS)
    answer = await get(database, RELIABILITY, timeframe="1h")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    windows = [window async for window in read_windows(database, Selection("1h"))]
    assert len(windows) == 3
    document = answer.json()
    assert document == {
        "timeframe": "1h",
        "until": "2026-03-02T13:00:00Z",
        "earlier": 0,
        "next": None,
        "windows": [window_as_json(window) for window in windows],
    }

    model = ReliabilityDocument.model_validate(answer.json())
    assert model.model_dump(mode="json").keys() == answer.json().keys()
    for read, sent in zip(model.windows, answer.json()["windows"], strict=True):
        assert read.model_dump().keys() == sent.keys() | {"groups"}
        assert read.channels[0].model_dump().keys() == sent["channels"][0].keys()


async def test_an_empty_database_has_no_windows(database: Database) -> None:
    answer = await get(database, RELIABILITY)
    assert answer.json() == {
        "timeframe": "1h",
        "until": None,
        "earlier": 0,
        "next": None,
        "windows": [],
    }


async def test_without_a_timeframe_it_is_the_shortest_that_is_computed(database: Database) -> None:
    async with client_of(database, timeframes="1d,15m,1h") as client:
        assert (await client.get(RELIABILITY)).json()["timeframe"] == "15m"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [(0, "present"), (0, "window"), (1, "present"), (2, "present")]),
        ({"membership": "window"}, [(0, "window")]),
        ({"from": "2026-03-02T11:00:00Z"}, [(1, "present"), (2, "present")]),
        ({"from": "2026-03-02T11:00", "to": "2026-03-02T12:00"}, [(1, "present")]),
        ({"to": "2026-03-02T13:00:00+02:00"}, [(0, "present"), (0, "window")]),
        ({"timeframe": "1d"}, []),
    ],
)
async def test_windows_are_selected_as_by_report(
    database: Database, params: dict[str, str], expected: list[tuple[int, str]]
) -> None:
    await store_hours(database, 3)
    for hour in range(3):
        await compute_window(database, START + hour * HOUR_MS)
    await compute_window(database, membership="window")
    document = (await get(database, RELIABILITY, **params)).json()
    hours = {f"2026-03-02T{10 + hour}:00:00Z": hour for hour in range(3)}
    assert [(hours[w["start"]], w["membership"]) for w in document["windows"]] == expected


def starts(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["start"][11:13], one["membership"]) for one in document["windows"]]


async def test_what_is_answered_is_a_page(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_hours(database, 5)
    for hour in range(5):
        await compute_window(database, START + hour * HOUR_MS)
    await compute_window(database, START + HOUR_MS, membership="window")
    latest = (await get(database, RELIABILITY, limit="2")).json()
    assert starts(latest) == [("13", "present"), ("14", "present")]
    assert (latest["earlier"], latest["next"]) == (3, None)
    before = (await get(database, RELIABILITY, limit="2", to="2026-03-02T12:00")).json()
    both = [("11", "present"), ("11", "window")]  # of one window, so always on one page
    assert starts(before) == [("10", "present"), *both]

    assert len((await get(database, RELIABILITY)).json()["windows"]) == 6
    monkeypatch.setattr(api_app, "MOST_CHANNELS", 2)  # each window has one
    first = (await get(database, RELIABILITY, **{"from": "2026-03-02"})).json()
    assert starts(first) == [("10", "present"), *both]
    second = (await get(database, RELIABILITY, **{"from": first["next"]})).json()
    assert starts(second) == [("12", "present"), ("13", "present")]
    third = (await get(database, RELIABILITY, **{"from": second["next"]})).json()
    assert (starts(third), third["next"]) == ([("14", "present")], None)
    # Without its channels a window is small, so a page has more windows.
    for narrow in ({"channels": "false"}, {"channel": "c1"}):
        whole = (await get(database, RELIABILITY, **narrow)).json()
        assert len(whole["windows"]) == 6


async def test_of_one_channel_only_its_figures_come(database: Database) -> None:
    await store_hours(database, 3, ["c1", "c2"])
    await compute_window(database)
    (window,) = (await get(database, RELIABILITY, channel="c2")).json()["windows"]
    assert [channel["channel_id"] for channel in window["channels"]] == ["c2"]
    assert window["expected"] == window["channels"][0]["expected"]


@pytest.mark.parametrize(
    ("params", "field", "text"),
    [
        (
            {"timeframe": "1x"},
            "timeframe",
            "'1x' is not a timeframe; allowed: a number and m, h, d",
        ),
        (
            {"from": "soon"},
            "from",
            "'soon' is not a time; allowed: ISO 8601, as in 2026-03-02T10:00",
        ),
        ({"to": "1772445600"}, "to", "'1772445600' is not a time; allowed: ISO 8601"),
        ({"membership": "most"}, "membership", "'present', 'window' or 'bracketed'"),
        ({"channel": ""}, "channel", "at least 1 character"),
        ({"by": "weather"}, "by", "'platform', 'app_version', 'message_type', "),
        ({"limit": "1001"}, "limit", "less than or equal to 1000"),
        ({"size": "1"}, "size", "Extra inputs are not permitted"),
        ({"versus": "ios"}, None, "`versus` names a group, so `by` must name its dimension"),
        ({"from": "2026-03-02", "to": "2026-03-02"}, None, "`from` must be before `to`"),
    ],
)
async def test_a_bad_question_is_answered_with_what_is_wrong_in_it(
    database: Database, params: dict[str, str], field: str | None, text: str
) -> None:
    answer = await get(database, RELIABILITY, **params)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert text in problem["msg"]
    assert problem["loc"] == (["query"] if field is None else ["query", field])


async def test_a_channel_or_a_group_that_nobody_knows_is_said_as_by_report(
    database: Database,
) -> None:
    await store(
        database,
        [
            Sample(f"m{hour}", "c1", key, at, at + 5_000, platform=platform)
            for hour in range(2)
            for at in [START + hour * HOUR_MS + MINUTE_MS]
            for key, platform in (("a", "android"), ("b", "ios"))
        ],
    )
    await compute_window(database, START, smallest_group=1)
    answer = await get(database, RELIABILITY, channel="nosuch")
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("there is no channel 'nosuch'; allowed: ")
    answer = await get(database, RELIABILITY, by="platform", versus="nokia")
    assert answer.status_code == 404
    assert answer.json()["detail"] == (
        "there is no platform 'nokia' in these windows; there are 'android', 'ios'"
    )
    known = await get(database, RELIABILITY, channel="c1", by="platform", versus="ios")
    assert [group["platform"] for group in known.json()["windows"][0]["groups"]] == [
        "android",
        "ios",
    ]


async def test_without_the_database_the_answer_is_to_come_again() -> None:
    answer = await get(AwayDatabase(), RELIABILITY)
    assert answer.status_code == 503
    assert "the database cannot be reached" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0


# --------------------------------------------------------------------------------- who may read


async def read_as(database: Database, token: str | None, **options: object) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with client_of(database, **options) as client:
        return await client.get(RELIABILITY, headers=headers)


@pytest.mark.parametrize(
    "options",
    [
        {"http_listen": "127.0.0.1:8080"},
        {"http_listen": "[::1]:8080"},
        {"http_listen": "0.0.0.0:8080", "insecure": True},
    ],
)
async def test_on_loopback_and_where_insecure_is_said_anyone_may_read(
    database: Database, options: dict[str, object]
) -> None:
    assert (await read_as(database, None, **options)).status_code == 200


@pytest.mark.parametrize(
    "options",
    [
        {"http_listen": "0.0.0.0:8080"},
        {"http_listen": "127.0.0.1:8080", "require_tokens": True},
        {"http_listen": "0.0.0.0:8080", "require_tokens": True, "insecure": True},
    ],
)
async def test_beyond_loopback_only_a_read_token_may_read(
    database: Database, options: dict[str, object]
) -> None:
    read = await create_token(database, "wall", Scope.READ, now=LATER)
    ingest = await create_token(database, "phone", Scope.INGEST, now=LATER)
    assert (await read_as(database, read, **options)).status_code == 200
    for token in (None, ingest, "dt_guess", ""):
        answer = await read_as(database, token, **options)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "token create NAME --scope read" in answer.json()["detail"]


async def test_probes_and_scrapes_need_no_token(database: Database) -> None:
    async with client_of(database, http_listen="0.0.0.0:8080") as client:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(path)).status_code == 200, path


# --------------------------------------------------------------------------------------- health


async def test_a_server_with_its_database_is_ready(database: Database) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await get(database, path)
        assert (answer.status_code, answer.text) == (200, "ok\n")


async def test_probes_may_ask_for_the_head_alone(database: Database) -> None:
    async with client_of(database) as client:
        for path in ("/healthz", "/readyz"):
            answer = await client.head(path)
            assert (answer.status_code, answer.text) == (200, "")


async def test_without_the_database_it_is_alive_and_not_ready() -> None:
    assert (await get(AwayDatabase(), "/healthz")).status_code == 200
    answer = await get(AwayDatabase(), "/readyz")
    assert answer.status_code == 503
    assert answer.text == "the database cannot be used: connection refused\n"


async def test_on_another_schema_it_is_not_ready(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("update alembic_version set version_num = '0000'")
    answer = await get(database, "/readyz")
    assert answer.status_code == 503
    assert answer.text.startswith("the database has schema 0000, but this version needs ")


# -------------------------------------------------------------------------------------- metrics


async def scrape(database: Database, **options: object) -> dict[str, float]:
    """The values of all series: name{label=value,…}."""
    async with client_of(database, **options) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    return {
        sample.name + "".join(f",{k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in parse_text(answer.text)
        for sample in family.samples
    }


def ratios(series: dict[str, float]) -> set[str]:
    """The ratios of windows; the objective has another series."""
    return {name for name in series if name.startswith("devtelemetry_delivery_ratio,")}


async def test_a_scrape_shows_the_latest_window_of_each_timeframe_and_state(
    database: Database,
) -> None:
    await store_hours(database, 3)
    for hour in (0, 1):
        await compute_window(database, START + hour * HOUR_MS)
    await compute_window(database, START + 2 * HOUR_MS, now=from_unix_ms(START + 4 * HOUR_MS))
    await compute_window(database, timeframe="2h")
    series = await scrape(database)
    assert ratios(series) == {
        "devtelemetry_delivery_ratio,state=settled,timeframe=1h",
        "devtelemetry_delivery_ratio,state=provisional,timeframe=1h",
        "devtelemetry_delivery_ratio,state=settled,timeframe=2h",
    }
    (window,) = [
        window
        async for window in read_windows(
            database, Selection("1h", start=from_unix_ms(START + 2 * HOUR_MS))
        )
    ]
    labels = ",state=provisional,timeframe=1h"
    assert series[f"devtelemetry_delivery_ratio{labels}"] == window.counts.delivery_ratio
    assert series[f"devtelemetry_reliability{labels}"] == window.reliability
    assert series[f"devtelemetry_expected_deliveries{labels}"] == window.counts.expected
    assert series[f"devtelemetry_missing_deliveries{labels}"] == window.counts.missing
    assert series[f"devtelemetry_corroborated_deliveries{labels}"] == window.counts.corroborated
    assert series[f"devtelemetry_receivers{labels}"] == window.counts.receivers


async def test_a_scrape_shows_what_became_of_what_is_missing_and_how_the_rest_came(
    database: Database,
) -> None:
    await store(database, worked_outcomes())
    await compute_window(database)
    series = await scrape(database)
    labels = ",state=settled,timeframe=1h"
    by_class = "devtelemetry_missing_deliveries_by_class,class="
    assert {
        name.removeprefix(by_class): value
        for name, value in series.items()
        if name.startswith(by_class)
    } == {
        f"not_arrived{labels}": 2,
        f"unreadable{labels}": 1,
        f"not_sent{labels}": 3,
        f"dropped{labels}": 1,
    }
    by_way = "devtelemetry_delivered_by_way"
    assert {name: value for name, value in series.items() if name.startswith(by_way)} == {
        f"{by_way},state=settled,timeframe=1h,way={way}": value
        for way, value in (("live", 3), ("history", 1), ("resent", 0), ("not_said", 4))
    }


async def test_only_the_policy_that_is_configured_is_shown(database: Database) -> None:
    await store_hours(database, 3)
    await compute_window(database, membership="window")
    assert not ratios(await scrape(database))
    assert ratios(await scrape(database, membership="window"))


async def test_a_scrape_shows_how_many_clocks_are_off(database: Database) -> None:
    writer = RowWriter(await database.keyring(), SettleRule())
    batch = Batch()
    for key, offset in (("a", 90_000), ("b", -2_000), ("c", 30)):
        batch.add_heartbeat(writer.keyring, Heartbeat(key, "", "", "", now_ms()))
        batch.add_clocks(writer.keyring, [ClockSaid(key, "", offset, now_ms())])
    async with database.acquire() as connection:
        await writer.write(connection, batch, now_ms=now_ms())
    series = await scrape(database)
    assert series["devtelemetry_clients_clock_told"] == 3
    assert [
        series[f"devtelemetry_clients_clock_off,more_than={edge}"]
        for edge in ("1s", "10s", "1m", "1h")
    ] == [2, 1, 1, 0]


async def test_on_loopback_only_a_name_of_loopback_is_answered(database: Database) -> None:
    """A foreign page cannot read anything by pointing its own name to this machine."""
    async with client_of(database) as client:
        for host, status in (("127.0.0.1:8080", 200), ("localhost", 200), ("evil.example", 421)):
            for path in (RELIABILITY, "/healthz"):
                answer = await client.get(path, headers={"host": host})
                assert answer.status_code == (status if path == RELIABILITY else 200)


async def test_a_window_is_broken_down_and_its_channels_can_be_left_out(
    database: Database,
) -> None:
    samples = [
        Sample(
            f"m{number}",
            channel,
            receiver,
            START + number,
            START + HOUR_MS + number,
            platform=platform,
            message_type="CHAT" if number else "EDIT",
        )
        for number in range(10)
        for channel in ("c1", "c2")
        for platform in ("ios", "android")
        for receiver in (f"{platform}-{n}" for n in range(4))
        if (platform, number) != ("ios", 3)
    ]
    await store(database, samples)
    await compute_window(database)
    series = await scrape(database)
    assert series["devtelemetry_missing_deliveries,platform=ios,state=settled,timeframe=1h"] == 8
    assert (
        series["devtelemetry_missing_deliveries,platform=android,state=settled,timeframe=1h"] == 0
    )

    async def window_of(**params: str) -> dict[str, Any]:
        answer = await get(database, RELIABILITY, **params)
        ReliabilityDocument.model_validate(answer.json())
        (window,) = answer.json()["windows"]
        return dict(window)

    window = await window_of(by="platform", channels="false")
    assert window["channels"] == []
    told = {group["platform"]: (group["expected"], group["missing"]) for group in window["groups"]}
    assert told == {"ios": (80, 8), "android": (80, 0)}
    assert window["delays"]["report"][11] == window["expected"] - window["missing"] == 152
    by_type = await window_of(by="message_type", channel="c1")
    assert {group["message_type"]: group["messages"] for group in by_type["groups"]} == {
        "CHAT": 9,
        "EDIT": 1,
    }
    assert "groups" not in await window_of()
    for dimension in Dimension:
        (*_, group) = (await window_of(by=dimension.value))["groups"]
        assert dimension.value in group


async def test_a_figure_without_a_value_has_no_series(database: Database) -> None:
    await compute_window(database)
    series = await scrape(database)
    assert series["devtelemetry_expected_deliveries,state=settled,timeframe=1h"] == 0
    assert not ratios(series)
    assert not [name for name in series if "_reliability" in name]


async def test_the_service_shows_its_own_metrics_with_and_without_the_database(
    database: Database,
) -> None:
    metrics.DAYS_DROPPED.inc()
    for of in (database, AwayDatabase()):
        assert (await scrape(of))["devtelemetry_days_dropped_total"] >= 1


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        (
            "application/openmetrics-text;version=1.0.0",
            "application/openmetrics-text;",
            parse_openmetrics,
        ),
        ("text/plain", "text/plain;", parse_text),
        ("*/*", "text/plain;", parse_text),
    ],
)
async def test_the_exposition_is_in_the_format_that_is_asked_for(
    database: Database, accept: str, content_type: str, parse: Callable[[str], Any]
) -> None:
    async with client_of(database) as client:
        answer = await client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(content_type)
    assert "devtelemetry_samples_accepted" in {family.name for family in parse(answer.text)}


# ---------------------------------------------------------------------------------------- /docs


async def test_the_documentation_loads_nothing_from_anywhere_else(database: Database) -> None:
    async with client_of(database) as client:
        page = await client.get("/docs")
        assert page.status_code == 200
        linked = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
        assert len(linked) >= 2
        for link in linked:
            address = urljoin("http://server/docs", link)
            assert urlsplit(address).netloc == "server", link
            assert (await client.get(address)).status_code == 200, link
        assert re.findall(r"https?://[^\s\"'<>]+", page.text) == []


async def test_the_openapi_document_says_what_may_be_asked(database: Database) -> None:
    document = (await get(database, "/openapi.json")).json()
    operation = document["paths"][RELIABILITY]["get"]
    described = {p["name"]: p.get("description", "") for p in operation["parameters"]}
    assert described.keys() == {
        "timeframe", "from", "to", "channel", "membership", "by", "versus", "channels", "limit",
    }  # fmt: skip
    assert all(described.values())
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/ReliabilityDocument"}
    for name in ("WindowFigures", "ChannelFigures"):
        fields = document["components"]["schemas"][name]["properties"]
        assert "delivery_ratio" in fields
