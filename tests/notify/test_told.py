"""Real servers send messages to a webhook and by Apprise; one that dies meanwhile sends again."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.months import Made, make_months

from devtelemetry.model import HOUR, parse_timeframe, window_at
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.notify import targets
from devtelemetry.notify.message import trial
from devtelemetry.notify.targets import Services, Webhook
from devtelemetry.publish.answer import Failed, StoreAway
from devtelemetry.runtime.clock import utc_now
from devtelemetry.store.database import Database
from support.hook import Hook, hooked
from support.program import Run
from support.server import ServerProcess

SECRET = "s3cret"


class Answers:
    """The answers of a webhook in turn, the last one for ever. None: it does not answer yet."""

    def __init__(self, *statuses: int | None) -> None:
        self._statuses = list(statuses)
        self.released = threading.Event()

    def __call__(self, _: dict[str, Any]) -> int:
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        if status is None:
            self.released.wait(60)
            return 204
        return status


@pytest.mark.slow
async def test_a_problem_is_told_again_only_by_a_server_whose_last_one_died_before_the_answer(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    end = window_at(parse_timeframe("1h"), utc_now()).start
    await make_months(database, Made([f"c{number}" for number in range(60)], end, 12 * 24 * HOUR))
    answers = Answers(503, None, 204)
    with hooked(answers) as hook:

        def start() -> ServerProcess:
            return ServerProcess(
                tmp_path / "server",
                f"--database={database_url}",
                f"--notify-webhook-url={hook.url}",
                "--public-url=https://telemetry.example",
                "--job-interval=1s",
            )

        # The server is refused, tries again, and dies while the webhook has the message.
        server = await asyncio.to_thread(start)
        await asyncio.to_thread(hook.wait_for, 2)
        server.kill(with_database=False)
        answers.released.set()
        with await asyncio.to_thread(start):
            await asyncio.to_thread(hook.wait_for, 3)
            await _until_told(database)
        with await asyncio.to_thread(start):
            # The next message of this server shows that it sent none before.
            async with database.acquire() as connection:
                await connection.execute(
                    """
                    insert into notice
                    select target, membership, 'channel', 'c1', '', listed_at, document, true,
                           listed_at, listed_at, looked_until
                    from notice
                    """
                )
            await asyncio.to_thread(hook.wait_for, 4)
    assert len(hook.came) == 4
    for document in hook.came[:3]:
        (one,) = document["new"]
        assert (one["value"], document["ended"]) == ("2.30.1", [])
        assert one["link"].startswith("https://telemetry.example/")
        assert f"{one['lost_more']:,} more were lost than expected" in document["body"]
    assert hook.came[3]["new"] == []
    assert len(hook.came[3]["ended"]) == 1
    log = (tmp_path / "server.log").read_text()
    assert "a message about problems is not sent yet" in log
    assert "answered 503" in log
    assert SECRET not in log


async def _until_told(database: Database) -> None:
    async with database.acquire() as connection, asyncio.timeout(60):
        while not await connection.fetchval("select bool_and(is_told) from notice"):
            await asyncio.sleep(0.05)


# ---------------------------------------------------------------------------------- the targets


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hooked() as served:
        yield served


def apprise_file(directory: Path, *urls: str) -> Path:
    path = directory / "apprise.conf"
    path.write_text("".join(f"{url}\n" for url in urls))
    return path


def as_json(hook: Hook) -> str:
    return hook.url.replace("http://", "json://")


def test_a_trial_says_who_took_it(plain_run: Run, hook: Hook, tmp_path: Path) -> None:
    with hooked(lambda _: 403) as refusing:
        file = apprise_file(tmp_path, as_json(hook), as_json(refusing))
        done = plain_run(
            "notify", f"--notify-webhook-url={refusing.url}", f"--notify-apprise={file}"
        )
    place = refusing.url.partition("/hook")[0]
    assert (done.status, done.err) == (1, "")
    assert done.out == (
        f"webhook: {place} answered 403\n"
        "apprise: JSON accepted it\n"
        "apprise: JSON did not accept the message\n"
    )
    (came,) = hook.came
    assert (came["title"], came["type"]) == ("Dev-Telemetry: a trial", "info")
    assert plain_run("notify", f"--notify-webhook-url={hook.url}").status == 0
    assert hook.came[1] == trial(None).document


def test_what_is_wrong_is_named_and_no_url_is(plain_run: Run, tmp_path: Path) -> None:
    assert "neither is set" in plain_run("notify").err
    for url, said in (
        (f"ftp://hooks.example/{SECRET}", "is not an HTTP URL"),
        (f"https://u:{SECRET}@hooks.example/", "contains a login"),
    ):
        done = plain_run("notify", f"--notify-webhook-url={url}")
        assert done.status == 2
        assert said in done.err
        assert SECRET not in done.err
    done = plain_run("notify", "--public-url=https://telemetry.example/below")
    assert "has a path" in done.err
    done = plain_run("notify", f"--notify-apprise={tmp_path / 'none'}")
    assert "cannot be read: No such file" in done.err
    done = plain_run("notify", f"--notify-apprise={apprise_file(tmp_path, 'foo://' + SECRET)}")
    assert (done.status, SECRET in done.out + done.err) == (1, False)
    assert "names no service that Apprise knows" in done.out


def test_without_apprise_its_setting_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="make install SET=apprise"):
        Services(apprise_file(tmp_path))


async def test_a_file_that_changed_is_read_again(hook: Hook, tmp_path: Path) -> None:
    file = apprise_file(tmp_path, as_json(hook))
    services = Services(file)
    (one,) = await services.read()
    assert [one] == await services.read()
    apprise_file(tmp_path, as_json(hook), as_json(hook), as_json(hook) + "2")
    names = [service.name for service in await services.read()]
    assert len(set(names)) == 3, "the same URL twice is two services"
    assert one.name in names
    assert all(SECRET not in name for name in names)
    file.unlink()
    with pytest.raises(StoreAway, match="cannot be read"):
        await services.read()


async def test_who_does_not_answer_is_left_after_a_while(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = Answers(None)
    with hooked(answers) as hook:
        # A timeout as long as Apprise's own.
        file = apprise_file(tmp_path, f"{as_json(hook)}&rto=60")
        (service,) = await Services(file).read()
        monkeypatch.setattr(targets, "SERVICE_SECONDS", 2.0)
        monkeypatch.setattr(targets, "WEBHOOK_SECONDS", 0.2)
        began = time.monotonic()
        with pytest.raises(StoreAway, match="it took more than 2 s") as late:
            await service.tell(trial(None))
        assert late.value.failed is Failed.NETWORK
        async with Webhook(hook.url) as webhook:
            with pytest.raises(StoreAway, match="cannot be reached: TimeoutError"):
                await webhook.tell(trial(None))
        assert time.monotonic() - began < 50, "less than Apprise waits"
        answers.released.set()


async def test_a_redirection_is_not_followed(hook: Hook) -> None:
    with hooked(lambda _: 307) as moved:
        async with Webhook(moved.url) as webhook:
            with pytest.raises(StoreAway, match="answered 307") as error:
                await webhook.tell(trial(None))
    assert error.value.failed is Failed.MISDIRECTED
    assert hook.came == []
