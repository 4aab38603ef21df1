"""A small XMPP messenger for one room. It reports its deliveries if its user opts in: README.md."""

import argparse
import asyncio
import json
import os
import sys

import slixmpp

import devtelemetry.integrations.slixmpp
from devtelemetry.client import Settings, TelemetryClient, shown


class Messenger(slixmpp.ClientXMPP):
    def __init__(self, jid: str, room: str, telemetry: TelemetryClient) -> None:
        super().__init__(jid, os.environ["XMPP_PASSWORD"])
        self.room = slixmpp.JID(room)
        self.register_plugin("xep_0045")
        self.register_plugin(
            "devtelemetry", {"client": telemetry}, module=devtelemetry.integrations.slixmpp
        )
        self.add_event_handler("session_start", self.enter)
        self.add_event_handler("groupchat_message", lambda m: say(f"{m['mucnick']}: {m['body']}"))

    async def enter(self, _: object) -> None:
        self.send_presence()
        await self.plugin["xep_0045"].join_muc_wait(self.room, self.boundjid.user)
        say(f"you are in: {self.room}")

    async def run(self, settings: Settings) -> None:
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            match line.split():
                case ["/telemetry", "on" | "off" as what]:
                    await asyncio.to_thread(settings.enable if what == "on" else settings.disable)
                    say(f"telemetry is {what}")
                case ["/telemetry", *_]:
                    say(json.dumps(await asyncio.to_thread(shown, settings), indent=2))
                case _:
                    self.send_message(self.room, line, mtype="groupchat")
        await self.disconnect()


def say(text: str) -> None:
    """Prints `text` without control characters, which could steer the terminal."""
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else "�" for c in text) + "\n")
    sys.stdout.flush()


async def main() -> None:
    parser = argparse.ArgumentParser(description="An XMPP messenger. $XMPP_PASSWORD is yours.")
    parser.add_argument("jid")
    parser.add_argument("room")
    parser.add_argument("--plain", metavar="HOST:PORT", help="a server on this machine, no TLS")
    parser.add_argument("--telemetry", default="127.0.0.1:50051", metavar="HOST:PORT")
    asked = parser.parse_args()
    settings = Settings(f"{asked.jid}.db")  # off until somebody opts in
    telemetry = TelemetryClient(settings, asked.telemetry, receiver_public_key=asked.jid)
    telemetry.start()
    messenger = Messenger(asked.jid, asked.room, telemetry)
    if asked.plain:
        messenger.enable_starttls = messenger.enable_direct_tls = False
        messenger.enable_plaintext = True
        messenger.plugin["feature_mechanisms"].unencrypted_plain = True
    host, _, port = (asked.plain or "").rpartition(":")
    messenger.connect(host, int(port or 0))
    await messenger.run(settings)
    await telemetry.aclose()  # sends what waits


if __name__ == "__main__":
    asyncio.run(main())
