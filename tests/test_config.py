"""Settings: where a value comes from, which values are accepted, and what a refusal says."""

import re
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry.model import Listen, MembershipPolicy, Source, parse_duration, write_duration
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.runtime.hosts import is_loopback
from devtelemetry.server import wiring
from devtelemetry.settings.errors import BadOption
from devtelemetry.settings.names import environment_name
from devtelemetry.settings.notations import notation_of
from devtelemetry.settings.settings import Settings
from devtelemetry.settings.table import description, settings_table

HOUR = timedelta(hours=1)
SETTINGS_PAGE = Path(__file__).parents[1] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the tests themselves must not matter."""
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "devtelemetry.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_option_wins_over_the_environment_and_that_over_the_file_and_that_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = toml(tmp_path, 'retention = "10d"\nsettle_time = "10h"\nclock_skew = "10m"')
    monkeypatch.setenv("DEVTELEMETRY_RETENTION", "20d")
    monkeypatch.setenv("DEVTELEMETRY_SETTLE_TIME", "20h")
    settings = Settings(config=str(file), retention="30d")
    assert settings.retention == timedelta(days=30)
    assert settings.settle_time == 20 * HOUR
    assert settings.clock_skew == timedelta(minutes=10)
    assert settings.recompute_interval == timedelta(minutes=10)


def test_the_environment_may_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVTELEMETRY_CONFIG", str(toml(tmp_path, "workers = 3")))
    assert Settings().workers == 3


def test_the_file_of_the_option_wins_over_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVTELEMETRY_CONFIG", str(tmp_path / "absent.toml"))
    assert Settings(config=str(toml(tmp_path, "workers = 3"))).workers == 3


def test_a_value_reads_the_same_as_text_and_as_toml_of_its_own(tmp_path: Path) -> None:
    file = toml(
        tmp_path,
        """
        timeframes = ["1h", "15m"]
        allowed_lateness = { "1h" = "5m" }
        insecure = true
        token_rate = 5
        queue_bytes = 1048576
        """,
    )
    as_text = Settings(
        timeframes="1h, 15m",
        allowed_lateness="1h=5m",
        insecure="yes",
        token_rate="5",
        queue_bytes="1MiB",
    )
    of_toml = Settings(config=file)
    for name in ("timeframes", "allowed_lateness", "insecure", "token_rate", "queue_bytes"):
        assert getattr(of_toml, name) == getattr(as_text, name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", timedelta(days=7)),
        ("24h", timedelta(hours=24)),
        ("10m", timedelta(minutes=10)),
        ("90s", timedelta(seconds=90)),
        ("500ms", timedelta(milliseconds=500)),
    ],
)
def test_durations_are_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@given(st.timedeltas(timedelta(0), timedelta(days=3650)))
def test_a_duration_comes_back_as_it_was_written(duration: timedelta) -> None:
    whole = duration - duration % timedelta(milliseconds=1)
    assert parse_duration(write_duration(whole)) == whole


@pytest.mark.parametrize(
    ("text", "expected", "written"),
    [
        ("127.0.0.1:50051", Listen("127.0.0.1", 50051), "127.0.0.1:50051"),
        ("[::1]:0", Listen("::1", 0), "[::1]:0"),
        ("localhost:8080", Listen("localhost", 8080), "localhost:8080"),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, expected: Listen, written: str) -> None:
    listen = Settings(grpc_listen=text).grpc_listen
    assert listen == expected
    assert str(listen) == written


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_name_is_loopback_only_if_all_its_addresses_are(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = {"both": ["127.0.0.1", "192.0.2.1"], "own": ["127.0.0.1", "::1"]}

    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        if host not in addresses:
            raise socket.gaierror("unknown")
        return [(0, 0, 0, "", (address, port)) for address in addresses[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert is_loopback("own")
    assert not is_loopback("both")
    assert not is_loopback("nowhere")


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"retention": "7x"},
            "--retention: '7x' is not a duration; allowed: a number and .* as in 90s; 1d to 3650d",
        ),
        ({"retention": "1h"}, "--retention: '1h' is out of range; allowed: .*"),
        ({"clock_skew": "99999999999d"}, "--clock-skew: '99999999999d' is out of range; .*"),
        ({"grpc_listen": "50051"}, "--grpc-listen: '50051' is not an address .*HOST:PORT.*"),
        ({"grpc_listen": "::1:50051"}, "--grpc-listen: '::1:50051' is not an address .*"),
        ({"grpc_listen": "a:65536"}, "--grpc-listen: 'a:65536' is not an address .*"),
        ({"workers": "0"}, "--workers: '0' is out of range; allowed: a whole number from 1 to 64"),
        ({"workers": "2.5"}, "--workers: '2.5' is not a whole number; .*"),
        ({"workers": True}, "--workers: 'True' is not a whole number; .*"),
        ({"membership": "most"}, ".*'most' .*; allowed: present or window or bracketed"),
        ({"timeframes": "1h,1x"}, "--timeframes: .*'1x' is not a timeframe; allowed: .*"),
        ({"timeframes": "1h,60m"}, "--timeframes: '1h,60m' names one length twice; .*"),
        ({"timeframes": ""}, "--timeframes: '' names no timeframe; .*"),
        ({"queue_bytes": "64MB"}, "--queue-bytes: '64MB' is not a size; allowed: .*MiB.*"),
        ({"token_rate": "nan"}, "--token-rate: 'nan' is not a number; .*"),
        ({"insecure": "perhaps"}, "--insecure: 'perhaps' is neither .*; allowed: true or false"),
        ({"unmeasured_types": "A,,B"}, "--unmeasured-types: 'A,,B' contains an empty name; .*"),
        ({"log_format": "xml"}, "--log-format: 'xml' is not known; allowed: console or json"),
        ({"nonsense": "1"}, "nonsense is not a setting; allowed: .*retention.*"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_with_setting_value_and_what_is_allowed(
    values: Mapping[str, object], line: str
) -> None:
    with pytest.raises(BadOption) as caught:
        Settings(**values)
    assert re.fullmatch(line, str(caught.value)), str(caught.value)


def test_the_refusal_names_where_the_value_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = toml(tmp_path, "retention = 7")
    with pytest.raises(ConfigurationError, match=f"^retention in {file}: '7' is not a duration; "):
        Settings(config=file)
    monkeypatch.setenv("DEVTELEMETRY_RETENTION", "soon")
    with pytest.raises(
        ConfigurationError, match=r"^DEVTELEMETRY_RETENTION: 'soon' is not a duration"
    ):
        Settings(config=file)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('retenton = "7d"', "retenton in .* is not a setting; did you mean retention?"),
        ("zzz = 1", "zzz in .* is not a setting; allowed: .*retention.*"),
        ('config = "other.toml"', "config in .* is not a setting; .*"),
        ("retention", "config: .* is not TOML: .*"),
    ],
)
def test_a_file_with_something_unknown_in_it_is_refused(
    tmp_path: Path, text: str, line: str
) -> None:
    with pytest.raises(ConfigurationError, match=line):
        Settings(config=toml(tmp_path, text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"config: .*absent\.toml cannot be read: No such"):
        Settings(config=tmp_path / "absent.toml")


def test_a_password_is_never_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(database_url="mysql://someone:s3cret@host/name")
    assert "s3cret" not in str(caught.value)
    assert "the URL" in str(caught.value)
    good = Settings(database_url="postgresql://someone:s3cret@host/name")
    assert "s3cret" not in repr(good)


def test_an_empty_url_or_path_is_none_at_all() -> None:
    settings = Settings(database_url="", tls_cert="", tls_key="")
    assert settings.database_url is None
    assert settings.tls_cert is None


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"tls_cert: a\.pem is given without tls_key"):
        Settings(tls_cert="a.pem")
    with pytest.raises(ConfigurationError, match=r"tls_key: a\.pem is given without tls_cert"):
        Settings(tls_key="a.pem")


def test_lateness_is_overridden_for_the_timeframes_that_are_named() -> None:
    settings = Settings(timeframes="1w,1h,1d", allowed_lateness="1d=90m")
    assert [(one.name, one.allowed_lateness) for one in settings.timeframes] == [
        ("1h", HOUR),
        ("1d", timedelta(minutes=90)),
        ("1w", 24 * HOUR),
    ]


def test_no_window_is_computed_before_those_reported_who_are_told_to_wait() -> None:
    settings = Settings(push_interval="2h")
    assert [(one.name, one.allowed_lateness) for one in settings.timeframes] == [
        ("1h", timedelta(hours=2, minutes=5)),
        ("1d", 6 * HOUR),
        ("1w", 24 * HOUR),
    ]
    # A busy server asks for at most half of the least allowed lateness, or for push_interval if
    # that is longer.
    assert wiring.push_interval(settings).seconds(1.0) == 7_200
    assert wiring.push_interval(Settings()).seconds(1.0) == 1_800
    assert wiring.push_interval(Settings()).seconds(0.0) == 0


@pytest.mark.parametrize(
    ("sampling", "one_in"), [("off", 1), ("auto", None), ("8", 8), (64, 64), (2**20, 2**20)]
)
def test_sampling_is_off_a_power_of_two_or_by_intervals(
    sampling: object, one_in: int | None
) -> None:
    assert wiring.sampling_wish(Settings(sampling=sampling)).one_in == one_in


@pytest.mark.parametrize("sampling", ["on", "3", 0, -2, 2**21, 2.0, True, ""])
def test_sampling_that_cannot_be_is_refused(sampling: object) -> None:
    with pytest.raises(
        ConfigurationError, match=r"sampling: .*allowed: off, auto, or a power of two"
    ):
        Settings(sampling=sampling)


def test_intervals_of_a_day_need_windows_of_a_day() -> None:
    with pytest.raises(ConfigurationError, match="sampling: auto needs windows of a day"):
        Settings(sampling="auto", timeframes="1h")


def test_lateness_of_a_timeframe_that_is_not_computed_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="lateness: 2d is not a computed timeframe; "):
        Settings(allowed_lateness="2d=1h")


def test_the_rules_of_aggregation_say_what_the_settings_say() -> None:
    settings = Settings(
        timeframes="2h",
        membership="bracketed",
        settle_time="3h",
        recompute_interval="4m",
        unmeasured_channels="a*,b?",
        legacy_unmeasured_types="",
    )
    rules = wiring.aggregate_rules(settings)
    assert [one.name for one in rules.timeframes] == ["2h"]
    assert rules.membership is MembershipPolicy.BRACKETED
    assert rules.settle_time == 3 * HOUR
    assert rules.recompute_interval == timedelta(minutes=4)
    assert rules.unmeasured[Source.GRPC].channels == ("a*", "b?")
    assert rules.unmeasured[Source.GRPC].types == ()
    assert rules.unmeasured[Source.STATUS_GO].channels == ("*-negotiated", "*-contact-code")
    assert rules.unmeasured[Source.STATUS_GO].types == ()


def test_ingest_gets_its_limits_in_milliseconds_and_bytes() -> None:
    settings = Settings(
        retention="2d",
        clock_skew="3s",
        timeframes="15m,1d",
        settle_time="2h",
        queue_samples="6000",
        queue_bytes="1KiB",
    )
    assert wiring.age_limits(settings) == (2 * 86_400_000, 3_000)
    assert wiring.settle_rule(settings).window_ms == 15 * 60_000
    assert wiring.settle_rule(settings).settle_ms == 2 * 3_600_000
    assert wiring.queue_limits(settings).samples == 6_000
    assert wiring.queue_limits(settings).size_bytes == 1_024


def test_every_default_is_a_value_one_could_write() -> None:
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        written = notation_of(field).write(default)
        assert getattr(Settings(**{name: written}), name) == default, name


def test_every_setting_says_what_it_is_for() -> None:
    for name in Settings.model_fields:
        assert len(description(name)) > 20, name
        assert description(name).endswith("."), name


def test_the_page_of_settings_is_what_the_program_prints() -> None:
    assert SETTINGS_PAGE.read_text(encoding="utf-8") == settings_table(), (
        "run `devtelemetry settings > docs/settings.md`"
    )
