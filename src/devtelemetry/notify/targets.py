"""Where a message goes: a webhook, and the services that Apprise knows.

Logs and errors name only a target's host or kind, because the rest of its URL may be a secret.
"""

import asyncio
import contextlib
import importlib.util
import json
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from devtelemetry import __version__
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.notify.message import Message
from devtelemetry.publish.answer import Failed, StoreAway, failed_for, retry_after_seconds
from devtelemetry.publish.outgoing import POSTING, client_for, place_of
from devtelemetry.runtime.clock import utc_now

WEBHOOK_SECONDS = 10.0
SERVICE_SECONDS = 60.0  # for the process: some services need several requests for a message


class Target(Protocol):
    """name    its name in the database
    way     `webhook` or `apprise`, a label of metrics
    said    its name for people
    """

    @property
    def name(self) -> str: ...

    @property
    def way(self) -> str: ...

    @property
    def said(self) -> str: ...

    async def tell(self, message: Message) -> None:
        """Raises StoreAway if the target did not take the message."""


class Webhook:
    """Takes JSON by POST; used inside its `async with`. Raises ConfigurationError."""

    name = way = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url
        self.said = place_of(url)
        self._client = client_for(
            url,
            setting="notify_webhook_url",
            verify=ssl.create_default_context(),
            seconds=WEBHOOK_SECONDS,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def tell(self, message: Message) -> None:
        """Does not follow a redirection, which would send the message to another place."""
        try:
            async with (
                asyncio.timeout(WEBHOOK_SECONDS),
                self._client.stream(
                    "POST",
                    self._url,
                    json=message.document,
                    headers={"User-Agent": f"devtelemetry/{__version__}"},
                ) as response,
            ):
                status, told = response.status_code, response.headers.get("Retry-After")
        except POSTING as error:
            # Not with the text of the error, which may contain the URL.
            raise StoreAway(
                f"{self.said} cannot be reached: {type(error).__name__}", Failed.NETWORK
            ) from None
        if not 200 <= status < 300:
            raise StoreAway(
                f"{self.said} answered {status}",
                failed_for(status),
                retry_after_seconds(told, utc_now()),
            )


class Service:
    """A service in a configuration file for Apprise."""

    way = "apprise"

    def __init__(self, file: Path, id_: str, said: str) -> None:
        self._file = file
        self._id = id_
        self.name = f"apprise {id_}"
        self.said = said

    async def tell(self, message: Message) -> None:
        answer = await _ask(
            {
                "file": str(self._file),
                "to": self._id,
                "title": message.title,
                "body": message.body,
                "kind": message.kind,
            }
        )
        if not answer["is_taken"]:
            raise StoreAway(f"{self.said} did not accept the message", Failed.SERVER_ERROR)


class Services:
    """The services in a file, which is read again when it has changed.

    Raises ConfigurationError if the file or Apprise is not there.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: tuple[tuple[int, int, int], Sequence[Service]] | None = None
        if importlib.util.find_spec("apprise") is None:
            raise ConfigurationError(
                "notify_apprise: Apprise is not installed; allowed: after `make install "
                "SET=apprise`, or `pip install '.[apprise]'`"
            )
        try:
            file.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"notify_apprise: {file} cannot be read: {error.strerror or error}"
            ) from error

    async def read(self) -> Sequence[Service]:
        """At least one service. Raises StoreAway if there is none, or the file is unreadable."""
        try:
            stat = self._file.stat()
        except OSError as error:
            raise StoreAway(
                f"{self._file} cannot be read: {error.strerror}", Failed.MISDIRECTED
            ) from None
        state = stat.st_mtime_ns, stat.st_size, stat.st_ino
        if self._read is None or self._read[0] != state:
            answer = await _ask({"file": str(self._file)})
            found = [Service(self._file, one["id"], one["name"]) for one in answer["services"]]
            if not found:
                raise StoreAway(
                    f"{self._file} names no service that Apprise knows", Failed.MISDIRECTED
                )
            self._read = state, found
        return self._read[1]


async def _ask(asked: dict[str, str]) -> Any:
    """The answer of a process of `services`. Raises StoreAway if it does not answer in time."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devtelemetry.notify.services",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # so that a Ctrl-C at the terminal reaches only the server
    )
    try:
        async with asyncio.timeout(SERVICE_SECONDS):
            out, _ = await process.communicate(json.dumps(asked).encode())
        return json.loads(out.splitlines()[-1])
    except (TimeoutError, IndexError, ValueError) as error:
        late = isinstance(error, TimeoutError)
        why = f"it took more than {SERVICE_SECONDS:.0f} s" if late else "it failed"
        raise StoreAway(f"Apprise did not answer: {why}", Failed.NETWORK) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
