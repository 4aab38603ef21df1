"""A Matrix messenger for one room. It reports its deliveries if its user opts in: README.md."""

import argparse
import asyncio
import contextlib
import json
import os
import sys

from nio import AsyncClient, LoginResponse, MatrixRoom, RoomMessageText

from devtelemetry.client import Settings, TelemetryClient, shown
from devtelemetry.integrations import nio


class Messenger:
    def __init__(self, matrix: AsyncClient, room: str) -> None:
        self.matrix, self.room = matrix, room
        matrix.add_event_callback(self.show, RoomMessageText)

    def show(self, room: MatrixRoom, event: RoomMessageText) -> None:
        if room.room_id == self.room:
            say(f"{event.sender}: {event.body}")

    async def run(self, settings: Settings) -> None:
        await self.matrix.join(self.room)
        await self.matrix.sync()
        say(f"you are in: {self.room}")
        syncing = asyncio.create_task(self.matrix.sync_forever(timeout=30_000))
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            match line.split():
                case ["/telemetry", "on" | "off" as what]:
                    await asyncio.to_thread(settings.enable if what == "on" else settings.disable)
                    say(f"telemetry is {what}")
                case ["/telemetry", *_]:
                    say(json.dumps(await asyncio.to_thread(shown, settings), indent=2))
                case _:
                    content = {"msgtype": "m.text", "body": line}
                    await self.matrix.room_send(self.room, "m.room.message", content)
        syncing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await syncing


def say(text: str) -> None:
    """Prints `text` without control characters, which could steer the terminal."""
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else "�" for c in text) + "\n")
    sys.stdout.flush()


async def main() -> None:
    parser = argparse.ArgumentParser(description="A Matrix messenger. $MATRIX_PASSWORD is yours.")
    parser.add_argument("server", help="URL")
    parser.add_argument("user")
    parser.add_argument("room", help="id, !…")
    parser.add_argument("--telemetry", default="127.0.0.1:50051", metavar="HOST:PORT")
    asked = parser.parse_args()
    settings = Settings(f"{asked.user}.db")  # off until somebody opts in
    telemetry = TelemetryClient(settings, asked.telemetry, receiver_public_key=asked.user)
    telemetry.start()
    matrix = AsyncClient(asked.server, asked.user)
    nio.attach(matrix, telemetry)
    if not isinstance(await matrix.login(os.environ["MATRIX_PASSWORD"]), LoginResponse):
        sys.exit("messenger: the server does not know this user and password")
    await Messenger(matrix, asked.room).run(settings)
    await matrix.close()
    await telemetry.aclose()  # sends what waits


if __name__ == "__main__":
    asyncio.run(main())
