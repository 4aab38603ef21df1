"""A matrix-nio client in a process of its own, for tests that kill it and cut its connection.

    python matrix_node.py OPTIONS

OPTIONS is JSON: settings, telemetry, log, url, store, user_id, device_id, access_token. Its other
options, its commands and its log are as in xmpp_node.py.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nio

from devtelemetry.client import Settings, TelemetryClient, Timing
from devtelemetry.integrations.nio import _Messenger, attach

if TYPE_CHECKING:
    from support.naive import Naive
    from support.watched import watch
else:  # run as a program: the module is beside it
    from naive import Naive
    from watched import watch

TIMING = Timing(flush=0.02, batch=0.05, first_retry=0.1, longest_retry=0.5, heartbeat=1.0)
SECONDS = 60.0
_HELD = (nio.RoomMessage, nio.RedactedEvent)


class Node:
    def __init__(self, options: dict[str, Any]) -> None:
        Path(options["store"]).mkdir(exist_ok=True)
        config = nio.AsyncClientConfig(
            store_sync_tokens=True, backoff_factor=0.1, max_timeout_retry_wait_time=0.3
        )
        self.client = nio.AsyncClient(
            options["url"],
            options["user_id"],
            options["device_id"],
            store_path=options["store"],
            config=config,
        )
        self.log = os.open(options["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.wrote: list[str] = []
        self.unread: list[nio.MegolmEvent] = []
        self.kept_back: list[Any] | None = None  # keys that are held back
        self.clock_ahead_ms = 0
        self.options = options
        self.naive: dict[str, Naive] = {}
        self.attach: Callable[[], None] = lambda: None
        self.prev_batch: dict[str, str] = {}
        self.client.add_event_callback(self.came, _HELD)
        self.client.add_event_callback(self.came_unreadable, nio.MegolmEvent)
        self.client.add_response_callback(self.synced, nio.SyncResponse)
        self.handle_to_device = self.client._handle_to_device
        self.client._handle_to_device = self.receive_keys

    def note(self, what: str, place: str, message_id: str = "") -> None:
        line = {"what": what, "place": place, "id": message_id, "at": time.time_ns() // 1_000_000}
        os.write(self.log, f"{json.dumps(line)}\n".encode())

    def came(self, room: nio.MatrixRoom, event: nio.Event, what: str = "held") -> None:
        if event.event_id not in self.wrote:
            self.note(what, room.room_id, event.event_id)
        if naive := self.naive.get(room.room_id):
            is_own = event.sender == self.options["user_id"]
            naive.came(event.event_id, event.event_id, is_own=is_own, at=event.server_timestamp)

    def came_unreadable(self, room: nio.MatrixRoom, event: nio.MegolmEvent) -> None:
        self.unread.append(event)
        self.note("unreadable", room.room_id, event.event_id)

    def synced(self, response: nio.SyncResponse) -> None:
        for room_id, room in response.rooms.join.items():
            if room.timeline.limited:
                self.prev_batch[room_id] = room.timeline.prev_batch

    async def receive_keys(self, response: nio.SyncResponse) -> None:
        if self.kept_back is not None and response.to_device_events:
            self.kept_back.append(response)
        else:
            await self.handle_to_device(response)

    # ------------------------------------------------------------------------------- commands

    async def do_join(self, room_id: str) -> None:
        assert isinstance(await self.client.join(room_id), nio.JoinResponse)
        self.note("joined", room_id)
        while room_id not in self.client.rooms:
            await asyncio.sleep(0.02)
        if room_id in self.naive:
            self.naive[room_id].entered()

    async def do_register(self) -> None:
        """Registers the module, late."""
        self.attach()

    async def do_go_away(self) -> None:
        for naive in self.naive.values():
            naive.disconnected()

    async def do_come_back(self) -> None:
        for naive in self.naive.values():
            naive.entered()

    async def do_leave(self, room_id: str) -> None:
        self.note("left", room_id)
        assert isinstance(await self.client.room_leave(room_id), nio.RoomLeaveResponse)

    async def do_rename(self, name: str) -> None:
        await self.client.set_displayname(name)

    async def do_say(self, room_id: str, kind: str = "m.room.message") -> None:
        content: dict[str, Any] = {"msgtype": "m.text", "body": "text"}
        if kind == "m.reaction":
            relation = {"rel_type": "m.annotation", "event_id": self.wrote[-1], "key": "+"}
            content = {"m.relates_to": relation}
        answer = await self.client.room_send(room_id, kind, content, ignore_unverified_devices=True)
        assert isinstance(answer, nio.RoomSendResponse), answer
        if kind == "m.room.message":
            self.wrote.append(answer.event_id)
            self.note("wrote", room_id, answer.event_id)
            if room_id in self.naive:
                self.naive[room_id].sent(answer.event_id, uuid.uuid4().hex)

    async def do_redact_last(self, room_id: str) -> None:
        await self.client.room_redact(room_id, self.wrote[-1])

    async def do_backfill(self, room_id: str) -> None:
        """Fetches what the last sync left out."""
        start = self.prev_batch[room_id]
        while start:
            answer = await self.client.room_messages(room_id, start, limit=20)
            for event in answer.chunk:
                if isinstance(event, _HELD):
                    self.came(self.client.rooms[room_id], event, "fetched")
            start = answer.end

    async def do_backfill_if_gap(self, room_id: str) -> None:
        if room_id in self.prev_batch:
            await self.do_backfill(room_id)

    async def do_keep_keys_back(self) -> None:
        self.kept_back = []

    async def do_let_keys_come(self) -> None:
        kept, self.kept_back = self.kept_back or [], None
        for response in kept:
            await self.handle_to_device(response)
        for event in self.unread:
            with contextlib.suppress(nio.EncryptionError):
                self.client.decrypt_event(event)
                self.note("decrypted", event.room_id, event.event_id)

    async def do_set_clock(self, ahead_ms: int) -> None:
        self.clock_ahead_ms = ahead_ms


async def main() -> None:
    options = json.loads(sys.argv[1])
    node = Node(options)
    settings = Settings(
        options["settings"], clock=lambda: time.time_ns() // 1_000_000 + node.clock_ahead_ms
    )
    telemetry = TelemetryClient(
        settings, options["telemetry"], receiver_public_key=options["user_id"], timing=TIMING
    )
    telemetry.start()
    client = node.client
    if options.get("watched"):
        watch(_Messenger, f"{options['log']}.calls")
    node.attach = lambda: attach(client, telemetry)
    flaws = options.get("naive", {})
    if not flaws and not options.get("late"):
        node.attach()
    node.naive = {room: Naive(flaw, options, TIMING) for room, flaw in flaws.items()}
    client.restore_login(options["user_id"], options["device_id"], options["access_token"])
    is_first = asyncio.Event()
    client.add_response_callback(lambda _: is_first.set(), nio.SyncResponse)
    syncing = asyncio.create_task(client.sync_forever(timeout=2000, loop_sleep_time=0))
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with asyncio.timeout(SECONDS):
        await is_first.wait()
    print("ready", flush=True)
    while line := await lines.readline():
        command, *arguments = json.loads(line)
        async with asyncio.timeout(SECONDS):
            await getattr(node, f"do_{command}")(*arguments)
        print("done", flush=True)
    syncing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await syncing
    await client.close()
    await telemetry.aclose(10.0)
    for naive in node.naive.values():
        await naive.telemetry.aclose(10.0)


if __name__ == "__main__":
    asyncio.run(main())
