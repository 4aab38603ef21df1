"""A slixmpp client in a process of its own, for tests that kill it and cut its connection.

    python xmpp_node.py OPTIONS

OPTIONS is JSON: settings, telemetry, port, user, nick, log, and ids (default origin). naive: room →
flaw; such a room is reported by hand (naive.py). late: a command registers the module. watched: the
module's calls are timed (watched.py). Commands come on standard input, one JSON list a line; each
is answered by a line. Handlers of the messenger itself write what happens to the log, which
survives SIGKILL.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import slixmpp
from slixmpp.xmlstream import ET

import devtelemetry.integrations.slixmpp
from devtelemetry.client import Settings, TelemetryClient, Timing

if TYPE_CHECKING:
    from support.naive import Naive
    from support.watched import watch
else:  # run as a program: the modules are beside it
    from naive import Naive
    from watched import watch

HOST, PASSWORD = "xmpp.example", "secret"
TIMING = Timing(flush=0.02, batch=0.05, first_retry=0.1, longest_retry=0.5, heartbeat=1.0)
SECONDS = 30.0
_REACTIONS = "{urn:xmpp:reactions:0}reactions"
_STANZA_ID = "{urn:xmpp:sid:0}stanza-id"


class Node(slixmpp.ClientXMPP):
    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(f"{options['user']}@{HOST}", PASSWORD)
        self.options = options
        self.enable_starttls = self.enable_direct_tls = False
        self.enable_plaintext = True
        for name in ("xep_0045", "xep_0199", "xep_0280", "xep_0308", "xep_0313"):
            self.register_plugin(name)
        self.plugin["feature_mechanisms"].unencrypted_plain = True
        self.log = os.open(options["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.rooms: list[str] = []
        self.wrote: set[str] = set()
        self.is_here = asyncio.Event()
        self.is_over = self.is_away = False
        self.clock_ahead_ms = 0
        self.naive: dict[str, Naive] = {}
        self.register_module: Callable[[], None] = lambda: None
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("disconnected", self.lost)
        self.add_event_handler("groupchat_message", self.in_room)
        self.add_event_handler("groupchat_message_error", self.came_back)
        self.add_event_handler("message", self.in_chat)
        self.add_event_handler("carbon_received", lambda m: self.in_chat(m["carbon_received"]))
        self.add_event_handler("carbon_sent", lambda m: self.in_chat(m["carbon_sent"]))

    def note(self, what: str, place: str, message_id: str = "") -> None:
        line = {"what": what, "place": place, "id": message_id, "at": time.time_ns() // 1_000_000}
        os.write(self.log, f"{json.dumps(line)}\n".encode())

    async def start(self, _: object) -> None:
        self.send_presence()
        self.plugin["xep_0280"].enable()
        for room in self.rooms:
            await self.enter(room)
        self.is_here.set()

    def lost(self, _: object) -> None:
        if self.is_here.is_set():
            for naive in self.naive.values():
                naive.disconnected()
        self.is_here.clear()
        if not self.is_over and not self.is_away:
            self.loop.call_later(0.1, self.connect, "127.0.0.1", self.options["port"])

    async def enter(self, room: str) -> None:
        muc = self.plugin["xep_0045"]
        await muc.join_muc_wait(slixmpp.JID(room), self.options["nick"], maxstanzas=0)
        self.note("joined", room)
        if room in self.naive:
            self.naive[room].entered()

    def in_room(self, message: slixmpp.Message, what: str = "held") -> None:
        nick, stanza_id = message["from"].resource, message["id"]
        if nick and (naive := self.naive.get(message["from"].bare)):
            archive_id = next((one.get("id", "") for one in message.xml.findall(_STANZA_ID)), "")
            naive.came(f"{nick}/{stanza_id}", archive_id, is_own=nick == self.options["nick"])
        if nick and stanza_id not in self.wrote and not message.xml.findall(_REACTIONS):
            self.note(what, message["from"].bare, f"{nick}/{stanza_id}")

    def came_back(self, message: slixmpp.Message) -> None:
        self.note("failed", message["from"].bare, f"{self.options['nick']}/{message['id']}")

    def in_chat(self, message: slixmpp.Message) -> None:
        if message["type"] == "chat" and message["body"]:
            pair = " ".join(sorted((message["from"].bare, message["to"].bare)))
            self.note("held", pair, f"{message['from'].bare}/{message['id']}")

    # ------------------------------------------------------------------------------- commands

    async def do_join(self, room: str) -> None:
        self.rooms.append(room)
        await self.enter(room)

    async def do_leave(self, room: str) -> None:
        self.rooms.remove(room)
        self.note("left", room)
        self.plugin["xep_0045"].leave_muc(slixmpp.JID(room), self.options["nick"])

    async def do_say(self, room: str, kind: str = "groupchat") -> None:
        """kind  groupchat, chat, edit, reaction"""
        message = self.make_message(
            slixmpp.JID(room), "text", mtype="chat" if kind == "chat" else "groupchat"
        )
        if kind == "edit":
            message["replace"]["id"] = "before"
        if kind == "reaction":
            message.append(ET.Element(_REACTIONS))
        self.wrote.add(message["id"])
        author = self.boundjid.bare if kind == "chat" else self.options["nick"]
        place = " ".join(sorted((self.boundjid.bare, room))) if kind == "chat" else room
        if kind != "reaction":
            self.note("wrote", place, f"{author}/{message['id']}")
        message.send()
        if place in self.naive:
            self.naive[place].sent(f"{author}/{message['id']}")

    async def do_register(self) -> None:
        """Registers the module, late."""
        self.register_module()

    async def do_go_away(self) -> None:
        self.is_away = True
        self.abort()
        await self.do_wait(False)

    async def do_come_back(self) -> None:
        self.is_away = False
        self.connect("127.0.0.1", self.options["port"])
        await self.do_wait(True)

    async def do_catch_up(self, room: str, since_ms: int) -> None:
        """Reads the room's archive."""
        since = datetime.fromtimestamp(since_ms / 1000, UTC)
        archive = self.plugin["xep_0313"].iterate(slixmpp.JID(room), start=since, rsm={"max": 20})
        async for result in archive:
            self.note("named", room, result["mam_result"]["id"])
            message = result["mam_result"]["forwarded"]["stanza"]
            if message["body"] and not message.xml.findall(_REACTIONS):
                self.note("archived", room, f"{message['from'].resource}/{message['id']}")
                self.in_room(message, "fetched")

    async def do_set_clock(self, ahead_ms: int) -> None:
        self.clock_ahead_ms = ahead_ms

    async def do_wait(self, is_here: bool) -> None:
        while self.is_here.is_set() != is_here:
            await asyncio.sleep(0.02)


async def main() -> None:
    options = json.loads(sys.argv[1])
    node = Node(options)
    settings = Settings(
        options["settings"], clock=lambda: time.time_ns() // 1_000_000 + node.clock_ahead_ms
    )
    telemetry = TelemetryClient(
        settings, options["telemetry"], receiver_public_key=options["user"], timing=TIMING
    )
    telemetry.start()
    if options.get("watched"):
        watch(devtelemetry.integrations.slixmpp.DevTelemetry, f"{options['log']}.calls")

    def register_module() -> None:
        node.register_plugin(
            "devtelemetry",
            {"client": telemetry, "ids": options.get("ids", "origin")},
            module=devtelemetry.integrations.slixmpp,
        )

    node.register_module = register_module
    flaws = options.get("naive", {})
    if not flaws and not options.get("late"):
        register_module()
    node.naive = {room: Naive(flaw, options, TIMING) for room, flaw in flaws.items()}
    node.connect("127.0.0.1", options["port"])
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with asyncio.timeout(SECONDS):
        await node.is_here.wait()
    print("ready", flush=True)
    while line := await lines.readline():
        command, *arguments = json.loads(line)
        async with asyncio.timeout(SECONDS):
            await getattr(node, f"do_{command}")(*arguments)
        print("done", flush=True)
    node.is_over = True
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(node.disconnect(), 5)
    await telemetry.aclose(10.0)
    for naive in node.naive.values():
        await naive.telemetry.aclose(10.0)


if __name__ == "__main__":
    asyncio.run(main())
