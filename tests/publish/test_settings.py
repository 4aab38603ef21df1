"""`devtelemetry publish` and the settings of remote write, as a user sees them."""

from pathlib import Path

import pytest

from devtelemetry.model.errors import ConfigurationError
from devtelemetry.server.wiring import remote_write
from devtelemetry.settings.settings import Settings
from support.program import run
from support.receiver import Receiver, receiving

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9090/api/v1/write",
        "https://store.example/api/v1/push?extra_label=a%3Db",
        "http://[::1]:8428/api/v1/write",
    ],
)
def test_a_url_of_http_is_taken_as_it_is(url: str) -> None:
    assert Settings(remote_write_url=url).remote_write_url == url


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:9090",
        "ftp://a/b",
        "http://",
        "http://host:port/",
        "http://host:99999/",
        "http://ho st/",
        f"https://us:{SECRET}@host/",
        f"us:{SECRET}",
    ],
)
def test_another_url_is_refused_and_what_may_be_secret_in_it_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--remote-write-url") as caught:
        Settings(remote_write_url=url)
    assert SECRET not in str(caught.value)


def test_labels_are_names_and_values() -> None:
    labels = Settings(remote_write_labels="deployment=test, zone = eu-1=a").remote_write_labels
    assert labels == {"deployment": "test", "zone": "eu-1=a"}
    assert Settings().remote_write_labels == {}


@pytest.mark.parametrize(
    "labels",
    ["deployment", "deployment=", "a-b=c", "__name__=x", "1a=b", "a=1,a=2", "state=x", "channel=c"],
)
def test_what_is_no_label_or_one_of_ours_is_refused(labels: str) -> None:
    with pytest.raises(ConfigurationError, match="--remote-write-labels"):
        Settings(remote_write_labels=labels)


def test_without_a_store_there_is_nothing_to_publish_to() -> None:
    with pytest.raises(ConfigurationError, match=r"remote_write_url: .*allowed"):
        remote_write(Settings())


def test_a_setting_that_is_written_out_does_not_show_the_url(tmp_path: Path) -> None:
    settings = Settings(remote_write_url=f"https://host/{SECRET}", data_dir=str(tmp_path))
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("options", "status", "line"),
    [
        ((), 1, "remote_write_url: not set"),
        (("--remote-write-url=host",), 2, "--remote-write-url: the URL is not an HTTP URL"),
        (
            ("--remote-write-url=http://127.0.0.1:1/", "--from=2026-03-03", "--to=2026-03-02"),
            2,
            "--from: 2026-03-03 is not before --to 2026-03-02",
        ),
        (("--remote-write-url=http://127.0.0.1:1/", "--timeframe=x"), 2, "--timeframe: "),
        (
            ("--remote-write-url=http://127.0.0.1:1/", "--remote-write-headers=/nowhere"),
            1,
            "remote_write_headers: /nowhere cannot be read: No such file or directory",
        ),
    ],
)
def test_a_command_that_cannot_be_done_says_so_in_one_line(
    database_url: str, options: tuple[str, ...], status: int, line: str
) -> None:
    done = run("publish", f"--database={database_url}", *options, check=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(f"devtelemetry: {line}")
    assert done.stderr.count("\n") == 1


def test_where_nothing_was_computed_nothing_is_sent(database_url: str) -> None:
    with receiving(Receiver()) as receiver:
        done = run("publish", f"--database={database_url}", f"--remote-write-url={receiver.url}")
    assert done.stdout == "published 0 windows, 0 points, rejected 0\n"
    assert receiver.requests == []
