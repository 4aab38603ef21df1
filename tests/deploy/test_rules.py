"""The rules for Prometheus in deploy/prometheus: promtool checks and unit-tests them, and they name
only series that exist."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from devtelemetry.figures.budget import BURNS, LEAST_LOST
from devtelemetry.model import OBJECTIVE, write_duration
from devtelemetry.publish.slo import Format, slo_file
from support.ci import missing_part
from support.monitoring import PROMETHEUS, ROOT, metric_names, names_in
from test_docs import anchor

RULES = PROMETHEUS / "rules.yml"
SCRAPED = PROMETHEUS / "rules-scraped.yml"
UNIT_TESTS = sorted(PROMETHEUS.glob("*_test.yml"))
OPERATIONS = ROOT / "docs" / "operations.md"


def promtool(*arguments: object) -> None:
    program = shutil.which("promtool")
    if program is None:
        missing_part("no promtool (Debian: apt-get install prometheus)")
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rules(path: Path) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules(RULES) if "alert" in rule]


@pytest.mark.parametrize("path", [RULES, SCRAPED], ids=lambda path: path.name)
def test_prometheus_takes_the_rules(path: Path) -> None:
    promtool("check", "rules", path)


def test_prometheus_takes_the_configuration() -> None:
    # --syntax-only skips the files that exist only in the container.
    promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")


def test_prometheus_takes_the_configuration_for_tls(tmp_path: Path) -> None:
    text = (PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8")
    with_tls = re.sub(r"^( +)# (scheme|tls_config):", r"\1\2:", text, flags=re.MULTILINE)
    (scrape,) = yaml.safe_load(with_tls)["scrape_configs"]
    assert (scrape["scheme"], list(scrape["tls_config"])) == ("https", ["ca_file"])
    path = tmp_path / "prometheus.yml"
    path.write_text(with_tls, encoding="utf-8")
    promtool("check", "config", "--syntax-only", path)


@pytest.mark.slow
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.name)
def test_the_rules_do_as_their_unit_tests_say(path: Path) -> None:
    promtool("test", "rules", path)


def test_every_alert_is_tested_to_fire_and_not_to_fire() -> None:
    tests = [
        test
        for path in UNIT_TESTS
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    ]
    fires: set[str] = set()
    does_not: set[str] = set()
    for test in tests:
        for one in test.get("alert_rule_test", []):
            (fires if one.get("exp_alerts") else does_not).add(one["alertname"])
            # This rule has several speeds. Those that are not listed do not fire.
            if one["alertname"] == "DevTelemetryErrorBudgetBurn":
                does_not.add(one["alertname"])
    names = {alert["alert"] for alert in alerts()}
    assert len(names) > 10
    assert fires == names
    # The job that must not fire is in the same case as one that does.
    beside = {"DevTelemetryJobFailing"}
    assert does_not | beside == names


@pytest.mark.parametrize("path", [RULES, SCRAPED], ids=lambda path: path.name)
def test_every_metric_in_an_expression_exists(path: Path) -> None:
    recorded = {rule["record"] for rule in rules(RULES) if "record" in rule}
    for rule in rules(path):
        names = names_in(rule["expr"])
        assert names or rule.get("alert") == "DevTelemetryDown"
        assert names <= metric_names() | recorded, rule


def test_the_objective_and_the_burn_rates_are_those_of_the_program() -> None:
    (objective,) = (
        rule["expr"]
        for rule in rules(RULES)
        if rule.get("record") == "devtelemetry:delivery_ratio:objective"
    )
    assert objective.endswith(f"or vector({OBJECTIVE})")
    found = []
    for alert in alerts():
        if alert["alert"] == "DevTelemetryErrorBudgetBurn":
            rates = re.findall(r"loss_ratio:(\w+) > ([\d.]+) \* \(1 - ", alert["expr"])
            (long, rate), (short, same) = rates
            assert rate == same
            least = re.search(r"missing_deliveries:sum(\w+) >= (\d+)", alert["expr"])
            assert least is not None
            assert least.groups() == (long, str(LEAST_LOST))
            assert alert["labels"]["span"] == long
            found.append((long, short, float(rate), alert["labels"]["severity"]))
    assert found == [
        (write_duration(burn.long), write_duration(burn.short), burn.rate, burn.severity)
        for burn in BURNS
    ]


@pytest.mark.parametrize("objective", [0.99, 0.9995])
def test_files_for_other_tools_have_the_objective_and_counters_that_exist(objective: float) -> None:
    sloth = yaml.safe_load(slo_file(Format.SLOTH, objective))
    (slo,) = sloth["slos"]
    assert slo["objective"] == pytest.approx(100 * objective)
    openslo = yaml.safe_load(slo_file(Format.OPENSLO, objective))
    assert openslo["spec"]["objectives"][0]["target"] == objective
    ratio = openslo["spec"]["indicator"]["spec"]["ratioMetric"]
    for query in [
        *(text.replace("{{.window}}", "1h") for text in slo["sli"]["events"].values()),
        *(ratio[part]["metricSource"]["spec"]["query"] for part in ("good", "total")),
    ]:
        assert names_in(query)
        assert names_in(query) <= metric_names()


def test_both_ways_of_recording_have_the_same_names() -> None:
    of_windows = {rule["record"] for rule in rules(RULES) if "record" in rule}
    scraped = {rule["record"] for rule in rules(SCRAPED)}
    assert of_windows - scraped == {"devtelemetry:delivery_ratio:objective"}
    assert scraped <= of_windows


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    headings = [
        anchor(heading)
        for heading in re.findall(
            r"^#+ +(.+?) *$", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE
        )
    ]
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}, alert
        said = alert["annotations"].keys() - {"page"}
        assert said == {"summary", "description", "runbook"}, alert
        page, _, fragment = alert["annotations"]["runbook"].partition("#")
        assert ROOT / page == OPERATIONS
        assert fragment == alert["alert"].lower()
        assert fragment in headings, alert["alert"]
        assert "for" in alert, alert


def test_an_alert_on_deliveries_names_the_address_of_the_page() -> None:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    (of_deliveries,) = [one for one in groups if one["name"] == "devtelemetry-deliveries"]
    for rule in of_deliveries["rules"]:
        names = re.findall(r"devtelemetry_\w+", rule["annotations"]["page"])
        assert names == ["devtelemetry_public_url_info"], rule
        assert set(names) <= metric_names()


def test_no_alert_stands_on_the_page_that_does_not_exist() -> None:
    page = OPERATIONS.read_text(encoding="utf-8")
    assert set(re.findall(r"^### (DevTelemetry\w+)", page, re.MULTILINE)) == {
        alert["alert"] for alert in alerts()
    }
