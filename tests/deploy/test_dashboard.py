"""The dashboard for Grafana in deploy/grafana, and recording rules of windows, on real stores."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml  # type: ignore[import-untyped]

from devtelemetry.aggregate.compute import compute_due
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.figures.series import ALL_SERIES
from devtelemetry.model import HOUR_MS, Sample, parse_timeframe, unix_ms
from devtelemetry.publish.publisher import PublishedSeries, publish_waiting
from devtelemetry.publish.remote_write import RemoteWrite
from devtelemetry.runtime.clock import utc_now
from devtelemetry.store.database import Database
from support.ci import missing_part
from support.monitoring import DEPLOY, PROMETHEUS, metric_names, names_in
from support.store import store as store_samples
from support.stores import SEEN_SECONDS, Prometheus, Store, VictoriaMetrics

GRAFANA = DEPLOY / "grafana"
VARIABLES = {"$timeframe": "1h", "$__rate_interval": "1m"}

Panel = dict[str, Any]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((GRAFANA / "dashboard.json").read_text(encoding="utf-8"))
    return loaded


def panels() -> list[Panel]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """The title of each panel, and its expression as Grafana sends it."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield panel["title"], expression
    for one in dashboard()["annotations"]["list"]:
        yield one["name"], one["expr"]


def recordings() -> dict[str, str]:
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return {
        rule["record"]: rule["expr"]
        for group in groups
        for rule in group["rules"]
        if "record" in rule
    }


def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        missing_part("no promtool (Debian: apt-get install prometheus)")
    asked = list(queries())
    assert len(asked) > 20
    rules = [{"record": f"query{number}", "expr": query} for number, (_, query) in enumerate(asked)]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_a_query_exists() -> None:
    known = metric_names() | recordings().keys()
    for title, query in queries():
        names = names_in(query)
        assert names, title
        assert names <= known, title


def test_what_is_of_windows_is_asked_of_what_was_sent_and_the_rest_of_scrapes() -> None:
    of_windows = {series.name for series in ALL_SERIES}
    for title, query in queries():
        for name, selector in re.findall(r"\b(devtelemetry_\w+)\{([^}]*)\}", query):
            assert ('job=""' in selector) == (name in of_windows), title
            assert 'channel=""' in selector or name not in of_windows, title


def test_it_goes_by_the_data_source_that_is_chosen() -> None:
    text = (GRAFANA / "dashboard.json").read_text(encoding="utf-8")
    loaded = dashboard()
    (source,) = [one for one in loaded["templating"]["list"] if one["type"] == "datasource"]
    assert source["query"] == "prometheus"
    uids = set(re.findall(r'"uid": "([^"]*)"', text))
    assert uids == {f"${{{source['name']}}}"}
    assert dashboard()["annotations"]["list"]
    assert "id" not in loaded, "an id belongs to one Grafana"
    for panel in panels():
        assert panel["datasource"]["uid"] in uids
        assert all(target["datasource"]["uid"] in uids for target in panel["targets"])


def test_panels_have_ids_of_their_own_say_what_they_show_and_do_not_overlap() -> None:
    every = dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    taken: set[tuple[int, int]] = set()
    for panel in every:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"], panel["title"]


def test_it_shows_what_it_is_for() -> None:
    shown = {name for _, query in queries() for name in names_in(query)}
    assert shown >= {series.name for series in ALL_SERIES} - {
        "devtelemetry_reliability",
        "devtelemetry_corroborated_deliveries",
        # Most deployments do not sample, so that a panel for it would be empty.
        "devtelemetry_one_in",
        "devtelemetry_estimated_messages",
    }


def test_it_begins_with_the_problems_the_objective_and_what_is_left_of_it() -> None:
    first = [names_in(query) for _, query in list(queries())[:20]]
    for name in (
        "devtelemetry_problems",
        "devtelemetry_problems_began_timestamp_seconds",
        "devtelemetry_problems_lost_more_deliveries",
        "devtelemetry_public_url_info",
        "devtelemetry:delivery_ratio:objective",
    ):
        assert any(name in names for names in first), name


def test_the_provisioning_leads_to_it() -> None:
    sources = yaml.safe_load(
        (GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text(encoding="utf-8")
    )
    (source,) = sources["datasources"]
    assert source["type"] == "prometheus"
    assert "uid" not in source
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    grafana = compose["services"]["grafana"]
    assert source["url"].removeprefix("$") in grafana["environment"]
    dashboards = yaml.safe_load(
        (GRAFANA / "provisioning" / "dashboards" / "devtelemetry.yaml").read_text(encoding="utf-8")
    )
    (provider,) = dashboards["providers"]
    (target,) = [
        Path(volume.split(":")[1])
        for volume in grafana["volumes"]
        if volume.startswith("./grafana/dashboard.json:")
    ]
    assert target.parent == Path(provider["options"]["path"])


# ----------------------------------------------------------------------------- over real stores

CHANNELS = 10  # and ten receivers of each platform, enough for intervals
PLATFORMS = ("desktop", "android")
HOURS = 80  # so that some whole day ended more than a day ago


def samples(first_hour_ms: int) -> list[Sample]:
    """One message for each hour and channel; who lacks it changes from hour to hour."""
    return [
        Sample(
            f"m{hour}",
            f"c{channel}",
            f"r{receiver}",
            sent_at,
            sent_at + 5_000,
            platform=PLATFORMS[receiver % len(PLATFORMS)],
        )
        for hour in range(HOURS)
        for channel in range(CHANNELS)
        for receiver in range(10 * len(PLATFORMS))
        for sent_at in [first_hour_ms + hour * HOUR_MS + 60_000 + channel]
        if (hour * 7 + channel * 3 + receiver * 5) % 23 != 0
    ]


def _before(moment: datetime, span: timedelta) -> datetime:
    return moment - span


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Prometheus, VictoriaMetrics])
async def test_windows_that_a_server_sent_show_in_every_panel_and_recording(
    database: Database, tmp_path: Path, kind: type[Store]
) -> None:
    now = utc_now()
    first_hour_ms = (unix_ms(now) // HOUR_MS - HOURS + 1) * HOUR_MS
    await store_samples(database, samples(first_hour_ms))
    rules = AggregateRules((parse_timeframe("1h"), parse_timeframe("1d")))
    with kind(tmp_path / "store") as store:
        # As a server sends them: each window as provisional, and a day later as settled.
        async with RemoteWrite(store.write_url) as to:
            for hours in range(72, -1, -12):
                clock = partial(_before, now, timedelta(hours=hours))
                await compute_due(database, rules, now=clock)
                await publish_waiting(database, to, PublishedSeries(), now=clock)

        async def ask(path: str, **parameters: object) -> list[Any]:
            """The result of a query; waits until there is one."""
            deadline = time.monotonic() + SEEN_SECONDS
            while True:
                found: list[Any] = store.ask(f"/api/v1/{path}?{urlencode(parameters)}")["data"][
                    "result"
                ]
                if found or time.monotonic() > deadline:
                    return found
                await asyncio.sleep(0.1)

        async def values(expression: str) -> list[float]:
            found = await ask("query", query=expression, time=unix_ms(now) / 1000)
            return [float(one["value"][1]) for one in found]

        async def until(name: str, holds: Callable[[list[float]], bool]) -> None:
            """Waits for the newest points, which a store shows some time after it took them."""
            deadline = time.monotonic() + SEEN_SECONDS
            while not holds(found := await values(recorded[name])):
                assert time.monotonic() < deadline, (name, found)
                await asyncio.sleep(0.1)

        recorded = recordings()
        for name, expression in recorded.items():
            if names_in(expression) <= recorded.keys() or name.endswith("_1w_before"):
                continue  # recorded from other series; and there is no week
            assert await values(expression), name
        # No window counts twice and none is missing, if it is settled, provisional, or both.
        pairs_an_hour = CHANNELS * 10 * len(PLATFORMS)
        for span, hours in (("1h", 1), ("1d", 24), ("3d", 72)):
            pairs = hours * pairs_an_hour
            await until(f"devtelemetry:corroborated_deliveries:sum{span}", [pairs].__eq__)
        await until("devtelemetry:window_age_seconds", lambda ages: 1 < ages[0] / 3600 < 2.1)

        of_windows = {series.name for series in ALL_SERIES}
        for title, query in queries():
            if names_in(query) & of_windows:
                start = unix_ms(now - timedelta(hours=48)) / 1000
                shown = await ask(
                    "query_range", query=query, start=start, end=unix_ms(now) / 1000, step=600
                )
                assert shown, title
                assert all(one["values"] for one in shown), title


@pytest.mark.parametrize("name", sorted(series.name for series in ALL_SERIES))
def test_prometheus_drops_what_it_would_have_twice(name: str) -> None:
    loaded = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    (scrape,) = loaded["scrape_configs"]
    (relabel,) = scrape["metric_relabel_configs"]
    assert re.fullmatch(relabel["regex"], name)
    others = metric_names() - {series.name for series in ALL_SERIES}
    assert not [other for other in others if re.fullmatch(relabel["regex"], other)]
