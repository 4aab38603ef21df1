"""A small messenger over MQTT that reports its deliveries, if its user opts in: examples/README.md.

Lines of telemetry contain `settings`, `telemetry` or `core`. The rest is the messenger.
"""

import argparse
import contextlib
import json
import sys
import time
import uuid
from collections.abc import Callable

from paho.mqtt.client import Client as MqttClient
from paho.mqtt.enums import CallbackAPIVersion

from devtelemetry.client import ClientError, Settings, TelemetryClient, shown
from devtelemetry.integrations.core import Core

ROOT = "messenger/"  # channel c is the MQTT topic messenger/c
HELP = "/join CHANNEL, /leave CHANNEL, /telemetry on|off|show, /quit; else a text for the channel"


class Messenger:
    """Holds the messages of the channels it is in, and prints them."""

    def __init__(self, name: str, settings: Settings, telemetry: TelemetryClient) -> None:
        self.name = name
        self.settings = settings
        self.telemetry = telemetry
        self.core = Core(telemetry)  # knows what came twice; reports channels after an opt-in
        self.channels: list[str] = []  # the user writes to the last one
        self.mqtt = MqttClient(CallbackAPIVersion.VERSION2)
        self.mqtt.on_connect = lambda *_: self.subscribe(*self.channels)
        self.mqtt.on_subscribe = lambda *_: say(f"you are in: {', '.join(self.channels)}")
        self.mqtt.on_unsubscribe = self.mqtt.on_subscribe
        self.mqtt.on_message = lambda _, __, came: self.hold(
            came.topic, bytes(came.payload), telemetry.message_received
        )

    def run(self) -> None:
        self.mqtt.loop_start()
        for line in map(str.strip, sys.stdin):
            match line.split():
                case ["/join", channel] if not set(channel) & set("/#+"):
                    self.join(channel)
                case ["/leave", channel] if channel in self.channels:
                    self.leave(channel)
                case ["/telemetry", "on" | "off" | "show" as what]:
                    self.switch(what)
                case ["/quit"]:
                    break
                case [word, *_] if self.channels and not word.startswith("/"):
                    self.write(self.channels[-1], line)
                case [_, *_]:
                    say(HELP)

    def close(self) -> None:
        for channel in list(self.channels):  # the broker keeps nothing for an absent user
            self.leave(channel)
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def subscribe(self, *channels: str) -> None:
        for channel in channels:
            self.mqtt.subscribe(ROOT + channel, qos=1)

    def join(self, channel: str) -> None:
        self.channels = [known for known in self.channels if known != channel] + [channel]
        self.subscribe(channel)
        self.core.joined(channel)

    def leave(self, channel: str) -> None:
        self.channels.remove(channel)
        self.mqtt.unsubscribe(ROOT + channel)
        self.core.left(channel)

    def write(self, channel: str, text: str) -> None:
        sent_at = time.time_ns() // 1_000_000
        message = {"id": uuid.uuid4().hex, "from": self.name, "at": sent_at, "text": text}
        payload = json.dumps(message).encode()
        self.hold(ROOT + channel, payload, self.telemetry.message_sent)
        self.mqtt.publish(ROOT + channel, payload, qos=1)

    def hold(self, topic: str, payload: bytes, telemetry: Callable[..., None]) -> None:
        channel = topic.removeprefix(ROOT)
        try:
            message = json.loads(payload)
            message_id, sent_at = message["id"], message["at"]
            line = f"[{channel}] {message['from']}: {message['text']}"
            if not self.core.is_new(channel, message_id):
                return  # the broker returns our own messages, and any message may come twice
        except (ValueError, TypeError, KeyError):
            return  # not a message of this messenger
        telemetry(  # reports neither the text nor its author
            message_id=message_id,
            channel_id=channel,
            sent_at=sent_at,
            topics=topic.encode(),
            message_type="TEXT",
            message_size=len(payload),
        )
        say(line)

    def switch(self, what: str) -> None:
        try:
            if what == "on":
                self.settings.enable()
                self.core.connected(self.channels)
            elif what == "off":
                self.settings.disable()
            told = json.dumps(shown(self.settings), indent=2) if what == "show" else f"is {what}"
            say(f"telemetry {told}")
        except ClientError as error:
            say(f"telemetry: {error}")


def say(text: str) -> None:
    """Prints `text` without control characters, which could steer the terminal."""
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else "�" for c in text) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="A messenger over MQTT.", epilog=HELP)
    parser.add_argument("name", help="yours; what belongs to it lies in NAME.db")
    parser.add_argument("--broker", default="127.0.0.1:1883", metavar="HOST:PORT")
    parser.add_argument("--telemetry", default="127.0.0.1:50051", metavar="HOST:PORT")
    asked = parser.parse_args()
    settings = Settings(f"{asked.name}.db")  # off until somebody opts in
    telemetry = TelemetryClient(
        settings, asked.telemetry, receiver_public_key=asked.name, platform="terminal"
    )
    messenger = Messenger(asked.name, settings, telemetry)
    host, _, port = asked.broker.rpartition(":")
    messenger.mqtt.connect(host, int(port))
    telemetry.start()
    with contextlib.suppress(KeyboardInterrupt):
        messenger.run()
    messenger.close()
    telemetry.close()  # sends what waits


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, ClientError) as error:
        sys.exit(f"messenger: {error}; is the broker there, and may NAME.db be written here?")
