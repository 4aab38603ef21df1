"""Windows in a real Prometheus and a real VictoriaMetrics: all there, with values and times."""

import json
import re
import ssl
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import trustme

from conftest import database_of
from devtelemetry.aggregate.compute import compute_due
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.figures.document import iso, window_as_json
from devtelemetry.figures.read import Selection, read_windows
from devtelemetry.model import (
    DAY_MS,
    HOUR_MS,
    Dimension,
    Sample,
    from_unix_ms,
    parse_timeframe,
    unix_ms,
)
from devtelemetry.publish.answer import Failed, Rejected, StoreAway
from devtelemetry.publish.publisher import PublishedSeries, count_waiting, publish_waiting
from devtelemetry.publish.remote_write import Outcome, RemoteWrite, Stamped, labels_of
from devtelemetry.runtime.clock import now_ms, utc_now
from devtelemetry.store.database import Database
from support.program import in_process, run
from support.server import ServerProcess
from support.store import store as store_samples
from support.stores import (
    OURS,
    SEEN_SECONDS,
    Prometheus,
    Series,
    Store,
    Values,
    VictoriaMetrics,
    is_close,
)

pytestmark = pytest.mark.slow

TIMEFRAMES = ("1h", "1d", "1w")
CHANNELS = 10  # and ten receivers, enough for an interval
RECEIVERS = 10
PLATFORMS = ("desktop", "ios", "")  # a third each, so that each is large enough to be shown

# Name of the series → name in JSON, by docs/protocol.md.
OF_SHARE = {
    "devtelemetry_delivery_ratio": "delivery_ratio",
    "devtelemetry_delivery_ratio_lower": "delivery_ratio_lower",
    "devtelemetry_delivery_ratio_upper": "delivery_ratio_upper",
    "devtelemetry_expected_deliveries": "expected",
    "devtelemetry_missing_deliveries": "missing",
    "devtelemetry_corroborated_deliveries": "corroborated",
    "devtelemetry_unknown_deliveries": "unknown",
    "devtelemetry_receivers": "receivers",
}
OF_WINDOW = {
    "devtelemetry_reliability": "reliability",
    "devtelemetry_influence": "influence",
}
PARTS = {
    "devtelemetry_missing_deliveries_by_class": (
        "class",
        {"not_arrived": "not_arrived", "unreadable": "unreadable", "not_sent": "not_sent",
         "dropped": "dropped"},
    ),
    "devtelemetry_delivered_by_way": (
        "way",
        {"live": "by_live", "history": "by_history", "resent": "by_resend"},
    ),
}  # fmt: skip
SHOWN_PLATFORMS = {"": "(not said)", None: "(other)"}

Expected = dict[Series, Values]


def samples(first_hour_ms: int, hours: int) -> list[Sample]:
    """Two messages for each hour and channel; who lacks them changes from hour to hour."""
    return [
        Sample(
            f"m{at}-{n}",
            f"c{channel}",
            f"r{receiver}",
            sent_at,
            sent_at + 5_000,
            platform=PLATFORMS[receiver % len(PLATFORMS)],
        )
        for at in range(first_hour_ms, first_hour_ms + hours * HOUR_MS, HOUR_MS)
        for channel in range(CHANNELS)
        for n in range(2)
        for receiver in range(RECEIVERS)
        for sent_at in [at + (n * 30 + 1) * 60_000 + channel]
        if (at // HOUR_MS * 7 + channel * 3 + receiver * 5 + n) % (11 + at // HOUR_MS % 5) != 0
    ]


def expected_points(timeframe: str, windows: list[dict[str, Any]]) -> Expected:
    """The points for a document of the API, by platform."""
    points: Expected = defaultdict(dict)

    def add(names: dict[str, str], figures: dict[str, Any], at_ms: int, **labels: str) -> None:
        for name, key in names.items():
            if figures[key] is not None:
                series = name, tuple(sorted({"timeframe": timeframe, **labels}.items()))
                points[series][at_ms] = float(figures[key])

    def add_share(figures: dict[str, Any], at_ms: int, **labels: str) -> None:
        add(OF_SHARE, figures, at_ms, **labels)
        for name, (label, parts) in PARTS.items():
            for part, key in parts.items():
                add({name: key}, figures, at_ms, **{label: part}, **labels)
        not_said = figures["expected"] - figures["missing"]
        not_said -= sum(figures[key] for key in PARTS["devtelemetry_delivered_by_way"][1].values())
        way = {"devtelemetry_delivered_by_way": "not_said"}
        add(way, {"not_said": not_said}, at_ms, way="not_said", **labels)

    for window in windows:
        at_ms = unix_ms(datetime.fromisoformat(window["end"]))
        state = window["state"]
        add(OF_WINDOW, window, at_ms, state=state)
        add_share(window, at_ms, state=state)
        groups = window["groups"]
        if any(group["platform"] is not None for group in groups):
            for group in groups:
                platform = SHOWN_PLATFORMS.get(group["platform"], group["platform"])
                add_share(group, at_ms, state=state, platform=platform)
    return dict(points)


# ------------------------------------------------------------------------------- a week


@pytest_asyncio.fixture(scope="module")
async def week_url(postgres_url: str, template_name: str) -> AsyncIterator[str]:
    """A database with a week of windows up to about now, none of them sent."""
    name = f"{template_name}_week"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f"create database {name} template {template_name}")
    url = database_of(postgres_url, name)
    rules = AggregateRules(tuple(parse_timeframe(one) for one in TIMEFRAMES))
    now = utc_now()
    if now.weekday() == 0:
        now -= timedelta(days=1)  # the last week is first computed on Tuesday
    async with Database(url) as database:
        first = (unix_ms(now) // HOUR_MS - 7 * 24) * HOUR_MS
        await store_samples(database, samples(first, 7 * 24 + 1))
        await compute_due(database, rules, now=lambda: now)
    yield url
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


async def expected_of(url: str) -> Expected:
    points: Expected = {}
    async with Database(url) as database:
        for timeframe in TIMEFRAMES:
            selection = Selection(timeframe, by=(Dimension.PLATFORM,), channels=False)
            windows = [
                window_as_json(window, Dimension.PLATFORM)
                async for window in read_windows(database, selection)
            ]
            points |= expected_points(timeframe, windows)
    return points


def publish(url: str, store: Store, *options: str) -> tuple[int, str, str]:
    done = run(
        "publish",
        f"--database={url}",
        f"--remote-write-url={store.write_url}",
        *options,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def count(points: Expected) -> int:
    return sum(map(len, points.values()))


def within(points: Expected, first_ms: int) -> Expected:
    later = {
        series: {at: value for at, value in values.items() if at >= first_ms}
        for series, values in points.items()
    }
    return {series: values for series, values in later.items() if values}


STORES = pytest.mark.parametrize("kind", [Prometheus, VictoriaMetrics])


@STORES
async def test_a_week_that_was_back_filled_is_there_with_right_values_and_times(
    week_url: str, tmp_path: Path, kind: type[Store]
) -> None:
    expected = await expected_of(week_url)
    # The week has enough windows for this test.
    ends = {at for values in expected.values() for at in values}
    assert len(ends) > 7 * 24 - 4
    named = {name for name, _ in expected}
    assert named == {*OF_WINDOW, *OF_SHARE, *PARTS}
    labels = [dict(labels) for _, labels in expected]
    assert {one["timeframe"] for one in labels} == set(TIMEFRAMES)
    assert {one["state"] for one in labels} == {"provisional", "settled"}
    assert {one.get("platform") for one in labels} == {None, "desktop", "ios", "(not said)"}
    ratios = [v for (n, _), values in expected.items() if n not in PARTS for v in values.values()]
    assert len(set(ratios)) > 100

    with kind(tmp_path / "store") as store:
        status, out, err = publish(week_url, store)
        windows = len(
            {(dict(one)["timeframe"], at) for (_, one), v in expected.items() for at in v}
        )
        assert (status, out) == (
            0,
            f"published {windows} windows, {count(expected)} points, rejected 0\n",
        ), err
        store.wait_for(expected, now_ms())

        # Sending it again changes nothing.
        assert publish(week_url, store)[0] == 0
        if kind is VictoriaMetrics:  # it keeps and shows both copies
            return
        store.wait_for(expected, now_ms())


async def test_a_span_and_a_timeframe_narrow_a_back_fill(week_url: str, tmp_path: Path) -> None:
    expected = await expected_of(week_url)
    first = from_unix_ms((now_ms() // DAY_MS - 3) * DAY_MS)
    last = first + timedelta(hours=5)
    with VictoriaMetrics(tmp_path / "store") as store:
        status, out, err = publish(
            week_url, store, f"--from={iso(first)}", f"--to={iso(last)}", "--timeframe=1h"
        )
        assert (status, out.split(",")[0]) == (0, "published 5 windows"), err
        span = range(unix_ms(first) + 1, unix_ms(last) + 1)
        narrowed = {
            series: {at: value for at, value in values.items() if at in span}
            for series, values in expected.items()
            if dict(series[1])["timeframe"] == "1h"
        }
        store.wait_for({s: v for s, v in narrowed.items() if v}, now_ms())


@pytest.mark.parametrize(
    ("out_of_order", "taken_for_hours"),
    [
        ("2d", 47),  # older points get "too old sample", with a 500
        (None, 0),  # points older than about an hour get "out of bounds"
    ],
)
async def test_a_prometheus_that_takes_no_old_points_counts_them_and_takes_the_others(
    week_url: str, tmp_path: Path, out_of_order: str | None, taken_for_hours: int
) -> None:
    expected = await expected_of(week_url)
    with Prometheus(tmp_path / "store", out_of_order=out_of_order) as store:
        status, out, err = publish(week_url, store)
        assert status == 1, err
        match = re.fullmatch(
            r"published \d+ windows, (\d+) points, rejected (\d+) \(too_old (\d+)\)\n", out
        )
        assert match is not None, out
        taken, rejected, too_old = map(int, match.groups())
        assert taken + rejected == count(expected)
        assert rejected == too_old
        found = store.points(OURS, now_ms(), "30d")
        assert count(found) == taken
        assert all(
            is_close(values, {at: expected[s][at] for at in values}) for s, values in found.items()
        )
        recent = within(expected, now_ms() - taken_for_hours * HOUR_MS)
        assert all(recent[series].keys() <= found[series].keys() for series in recent)
    async with Database(week_url) as database:
        assert await count_waiting(database, PublishedSeries()) == 0, (
            "what is refused does not wait"
        )


async def test_a_point_that_is_there_with_another_value_costs_no_other(tmp_path: Path) -> None:
    minute = now_ms() // 60_000 * 60_000

    def points(*values: float) -> list[Stamped]:
        return [
            Stamped(labels_of("devtelemetry_test", {"n": str(n)}), minute, value)
            for n, value in enumerate(values)
        ]

    with Prometheus(tmp_path / "store", out_of_order=None) as store:
        async with RemoteWrite(store.write_url) as sender:
            assert await sender.send(points(1, 2)) == Outcome(2)
            again = await sender.send(points(1, 3, 4))
            assert again == Outcome(2, Counter({Rejected.DUPLICATE: 1}))
            late = [Stamped(one.series, minute - 60_000, 9) for one in points(0)]
            assert await sender.send(
                late + [one for one in points(0, 0, 0, 5) if "3" in one.series[1]]
            ) == Outcome(1, Counter({Rejected.OUT_OF_ORDER: 1}))
        found = store.points("devtelemetry_test", now_ms(), "1h")
    assert {dict(labels)["n"]: values for (_, labels), values in found.items()} == {
        "0": {minute: 1},
        "1": {minute: 2},
        "2": {minute: 4},
        "3": {minute: 5},
    }


async def test_a_prometheus_that_takes_nothing_gets_all_of_it_once_that_is_mended(
    database: Database, tmp_path: Path
) -> None:
    now = utc_now()
    await store_samples(database, samples((unix_ms(now) // HOUR_MS - 6) * HOUR_MS, 7))
    rules = AggregateRules((parse_timeframe("1h"),))
    with Prometheus(tmp_path / "store", takes=False) as store:
        async with RemoteWrite(store.write_url) as sender:
            await publish_waiting(database, sender, PublishedSeries(), now=utc_now)
            windows = await compute_due(database, rules, now=lambda: now)
            with pytest.raises(StoreAway, match="404 remote write receiver") as caught:
                await publish_waiting(database, sender, PublishedSeries(), now=utc_now)
            assert caught.value.failed is Failed.MISDIRECTED
            store.kill()
            store.takes = True
            store.start()
            published = await publish_waiting(database, sender, PublishedSeries(), now=utc_now)
    assert published.windows == windows
    assert not published.points.rejected


# ------------------------------------------------------------------------------- a live server


def import_hours(data_dir: Path, directory: Path, first_ms: int, hours: int) -> None:
    lines = [
        json.dumps(
            {
                "messageId": one.message_id,
                "channelId": one.channel_id,
                "receiverPublicKey": one.receiver_public_key,
                "sentAt": one.sent_at,
                "createdAt": one.created_at,
                "platform": one.platform,
            }
        )
        for one in samples(first_ms, hours)
    ]
    file = directory / f"{first_ms}.ndjson"
    file.write_text("\n".join(lines))
    in_process("import", f"--data-dir={data_dir}", str(file))


def fetch(server: ServerProcess, path: str) -> str:
    with urllib.request.urlopen(f"http://{server.http}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def shown(server: ServerProcess) -> Expected:
    path = "/api/v1/reliability?timeframe=1h&by=platform&channels=false"
    return expected_points("1h", json.loads(fetch(server, path))["windows"])


def metric(server: ServerProcess, name: str) -> float:
    values = re.findall(rf"^{re.escape(name)} (\S+)$", fetch(server, "/metrics"), re.MULTILINE)
    return float(values[0]) if values else 0.0


def wait_until_there(server: ServerProcess, store: Store, ends: set[int]) -> None:
    """Waits until the store has what the API shows, and these windows are among them.

    The store may have more: if an hour ends meanwhile, a window settles that it has as provisional.
    """
    deadline = time.monotonic() + SEEN_SECONDS
    while True:
        expected, found = shown(server), store.points(OURS, now_ms(), "30d")
        if ends <= {at for values in expected.values() for at in values} and all(
            is_close({at: v for at, v in found.get(series, {}).items() if at in values}, values)
            for series, values in expected.items()
        ):
            return
        assert time.monotonic() < deadline, (expected, found)
        time.sleep(0.2)


def wait_for_pending(server: ServerProcess, windows: int) -> None:
    deadline = time.monotonic() + SEEN_SECONDS
    while metric(server, "devtelemetry_publish_pending_windows") < windows:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@STORES
def test_live_windows_are_there_and_a_store_that_is_killed_for_ten_of_them_loses_none(
    tmp_path: Path, kind: type[Store]
) -> None:
    data_dir = tmp_path / "data"
    hour = now_ms() // HOUR_MS * HOUR_MS
    with kind(tmp_path / "store") as store:
        options = (
            f"--remote-write-url={store.write_url}",
            "--job-interval=1s",
            "--timeframes=1h",
            "--settle-time=8h",
            "--recompute-interval=1d",
        )
        server = ServerProcess(data_dir, *options)
        import_hours(data_dir, tmp_path, hour - 4 * HOUR_MS, 5)
        live = {hour - n * HOUR_MS for n in (1, 2, 3)}
        wait_until_there(server, store, live)

        store.kill()
        import_hours(data_dir, tmp_path, hour - 15 * HOUR_MS, 11)  # settled ones, provisional ones
        wait_for_pending(server, 10)
        server.kill(with_database=True)
        server = ServerProcess(data_dir, *options)
        wait_for_pending(server, 10)
        assert metric(server, 'devtelemetry_publish_failures_total{reason="network"}') > 0
        store.start()
        missed = {hour - n * HOUR_MS for n in range(4, 15)}
        wait_until_there(server, store, live | missed)
        states = {dict(labels)["state"] for _, labels in store.points(OURS, now_ms(), "30d")}
        assert states == {"provisional", "settled"}
        assert metric(server, "devtelemetry_publish_pending_windows") == 0
        assert server.terminate() == 0


# ------------------------------------------------------------------------------- logins and TLS


@contextmanager
def with_tls(directory: Path, kind: type[Store]) -> Iterator[tuple[Store, Path]]:
    """A store that accepts only TLS, and the certificate of its authority."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key, ca = (directory / name for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    web = directory / "web.yml"
    web.write_text(f"tls_server_config: {{cert_file: {certificate}, key_file: {key}}}\n")
    options = {
        Prometheus: [f"--web.config.file={web}"],
        VictoriaMetrics: [
            "-tls",
            f"-tlsCertFile={certificate}",
            f"-tlsKeyFile={key}",
            "-httpAuth.username=us",
            "-httpAuth.password=our-password",
        ],
    }[kind]
    store = kind(directory / "store", *options)
    store.context = ssl.create_default_context(cafile=ca)
    if kind is VictoriaMetrics:
        store.login = "us:our-password"
    with store:
        yield store, ca


@STORES
async def test_a_store_behind_tls_and_a_login_gets_the_points(
    week_url: str, tmp_path: Path, kind: type[Store]
) -> None:
    with with_tls(tmp_path, kind) as (store, ca):
        headers = tmp_path / "headers"
        login = f"Authorization: {store.authorization}\n" if store.login is not None else ""
        headers.write_text(f"X-Scope-OrgID: us\n{login}")
        first = from_unix_ms(now_ms() // HOUR_MS * HOUR_MS - 2 * DAY_MS)
        span = (f"--from={iso(first)}", f"--to={iso(first + timedelta(hours=3))}", "--timeframe=1h")
        trusted = (f"--remote-write-ca={ca}", f"--remote-write-headers={headers}")
        status, out, err = publish(week_url, store, *span, *trusted)
        assert (status, out.split(",")[0]) == (0, "published 3 windows"), err
        expected = await expected_of(week_url)
        ends = [unix_ms(first) + n * HOUR_MS for n in (1, 2, 3)]
        of_hours = {
            series: {at: value for at, value in values.items() if at in ends}
            for series, values in expected.items()
            if dict(series[1])["timeframe"] == "1h"
        }
        store.wait_for({s: v for s, v in of_hours.items() if v}, now_ms())
        if store.login is not None:
            status, out, err = publish(week_url, store, *span, f"--remote-write-ca={ca}")
            assert (status, out) == (1, "")
            assert "answered 401" in err
            assert err.count("\n") == 1
