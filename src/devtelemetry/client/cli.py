"""`devtelemetry client …`: shows and changes this machine's node settings, from a terminal.

It parses options with the standard library, so that it works where only the client is installed.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from devtelemetry.client.blind import blind_channel, blind_message
from devtelemetry.client.errors import ClientError
from devtelemetry.client.settings import Settings, Status
from devtelemetry.client.show import iso, shown
from devtelemetry.client.storage import settings_files

SETTINGS_VARIABLE = "DEVTELEMETRY_CLIENT_SETTINGS"


def default_path() -> Path:
    """node.db in the user's data directory, unless DEVTELEMETRY_CLIENT_SETTINGS names another."""
    named = os.environ.get(SETTINGS_VARIABLE)
    if named:
        return Path(named)
    # Windows sets the first; systems that follow freedesktop.org may set the second.
    home = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_DATA_HOME")
    path = Path(home or "~/.local/share") / "devtelemetry" / "node.db"
    try:
        return path.expanduser()
    except RuntimeError:
        return path  # no home directory: no harm if the user names another file


def run(arguments: Sequence[str]) -> int:
    """Runs `devtelemetry client` with these arguments; returns the exit status."""
    parser = _parser()
    try:
        asked = parser.parse_args(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    try:
        if asked.command == "blind":
            _blind(asked.channel, asked.message)
        else:
            _act(asked)
    except (ClientError, OSError) as error:
        sys.stderr.write(f"devtelemetry: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    # These options may come before or after the command. SUPPRESS: if they are missing after it,
    # no default overwrites those before it.
    of_settings = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    of_settings.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help=f"the node's settings (default: ${SETTINGS_VARIABLE}, else {default_path()})",
    )
    of_settings.add_argument(
        "--account",
        metavar="NAME",
        help="only this account, if the app has several; by default all",
    )
    parser = argparse.ArgumentParser(
        prog="devtelemetry client",
        description="Shows and changes the opt-in in the settings of this machine's "
        "node. The app makes the file.",
        parents=[of_settings],
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("status", "show whether the user has opted in, and what became of the samples"),
        ("enable", "opt in"),
        ("disable", "opt out: wipe the queue and ask the servers to forget what they got"),
        ("show", "print the queue and the samples that were sent lately, as JSON"),
    ):
        command = commands.add_parser(name, help=text, description=text, parents=[of_settings])
        if name == "show":
            command.add_argument(
                "--limit",
                type=int,
                default=100,
                help="the most samples to print of each state (default: 100)",
            )
    blind = commands.add_parser(
        "blind",
        help="print the blinded id of a channel, or of a message in it",
        description="Print the blinded id of a channel, or of a message in it.",
    )
    blind.add_argument("channel", metavar="CHANNEL")
    blind.add_argument("message", metavar="MESSAGE", nargs="?")
    return parser


def _act(asked: argparse.Namespace) -> None:
    """Acts on the settings of all accounts, or of one. Raises ClientError if there are none."""
    # This checks all files before the first is changed: a file that is not ours stays as it is.
    paths = settings_files(
        getattr(asked, "settings", None) or default_path(), getattr(asked, "account", None)
    )
    for number, file in enumerate(paths):
        if len(paths) > 1:
            sys.stdout.write(f"{'' if not number else chr(10)}{file}\n")
        settings = Settings(file)
        if asked.command == "enable":
            settings.enable()
        elif asked.command == "disable":
            settings.disable()
        if asked.command == "show":
            page = shown(settings, limit=max(0, asked.limit))
            json.dump(page, sys.stdout, indent=2, ensure_ascii=False)
            sys.stdout.write("\n")
        else:
            sys.stdout.write("\n".join(_lines(settings.is_offered, settings.status())) + "\n")


def _blind(channel: str, message: str | None) -> None:
    blinded = blind_channel(channel) if message is None else blind_message(channel, message)
    sys.stdout.write(f"{blinded}\n")


def _lines(is_offered: bool, status: Status) -> list[str]:
    if not is_offered:
        return ["telemetry is not offered by this build of the app"]
    if not status.telemetry_enabled:
        lines = ["telemetry is off: nothing is recorded or sent"]
    else:
        lines = [
            f"telemetry is on since {iso(status.opted_in_at)}",
            f"last sent     {iso(status.last_sent_at) or 'never'}",
            f"waiting       {status.waiting}",
            f"acknowledged  {status.acknowledged}",
            f"dropped       {status.dropped}",
            f"set aside     {status.set_aside}",
        ]
        if status.before_opt_in:
            lines.append(f"before opt-in {status.before_opt_in}")
        for one_in, number in status.not_in_sample.items():
            lines.append(f"not in the sample of 1 in {one_in}: {number}")
        lines += [f"  {fault}: {number} times" for fault, number in status.faults.items()]
        if status.paused:
            lines.append("paused by the app: nothing is sent")
        if status.problem is not None:
            lines.append(f"problem       {status.problem}: {status.detail}")
    if status.leaving:
        lines.append(f"servers that have yet to forget this installation: {status.leaving}")
    return lines
