"""docs/client.md is true: its program runs, its session is real, its tables are complete."""

import dataclasses
import inspect
import re
import shlex
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

import grpc
import pytest

from devtelemetry.client import Limits, Problem, Settings, Status, TelemetryClient, Timing
from devtelemetry.client.outbox import DAY_MS
from support.program import run
from support.push_server import push_server

PAGE = (Path(__file__).parents[1] / "docs" / "client.md").read_text(encoding="utf-8")
SCHEMA = Path(__file__).parents[1] / "src" / "devtelemetry" / "client" / "schema.sql"
SERVER = "telemetry.example:50051"  # as on the page

_CODE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SESSION = re.compile(r"(?:^    .*\n|^\n)+", re.MULTILINE)
_ROW = re.compile(r"^\| (.+?) \| (.+?) \|", re.MULTILINE)
_NAME = re.compile(r"`(\w+)`")

# Parts of the output that differ in each run: times and random values.
_CHANGING = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "TIME"),
    (re.compile(r"\b\d{13}\b"), "MS"),
    (re.compile(r'"[0-9a-f]{32}"'), "RANDOM"),
]


def section(heading: str) -> str:
    text = PAGE.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    assert text, f"no section {heading}"
    return text


def session() -> list[tuple[str, str]]:
    """The commands of the page, and what the page says they print."""
    blocks = [b for b in _SESSION.findall(section("## On the command line")) if "$ " in b]
    lines = "".join(line[4:] or "\n" for block in blocks for line in block.splitlines(True))
    parts = re.split(r"^\$ (.+)\n", lines, flags=re.MULTILINE)[1:]
    return [
        (command, output.rstrip("\n"))
        for command, output in zip(parts[::2], parts[1::2], strict=True)
    ]


def settled(text: str) -> str:
    for pattern, name in _CHANGING:
        text = pattern.sub(name, text)
    return text


def test_the_program_of_the_page_runs_and_the_session_after_it_is_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program,) = _CODE.findall(PAGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEVTELEMETRY_CLIENT_SETTINGS", "node.db")
    with push_server() as server:
        assert program.count(SERVER) == 1
        exec(compile(program.replace(SERVER, server.address), "docs/client.md", "exec"), {})
        assert server.message_ids == ["0x5a1f", "0x5a20"]
        told = session()
        assert len(told) > 3
        for command, output in told:
            name, *arguments = shlex.split(command)
            assert name == "devtelemetry"
            printed = run(*arguments).stdout.rstrip("\n").replace(server.address, SERVER)
            assert settled(printed) == settled(output), f"$ {command}\n{printed}"


def tables(heading: str) -> Iterator[dict[str, str]]:
    """For each table of a section: each name in the first column → the second column."""
    for table in re.findall(r"(?:^\|.*\n)+", section(heading), re.MULTILINE):
        rows = _ROW.findall(table)[1:]  # without the header row
        yield {name: second for first, second in rows for name in _NAME.findall(first)}


def as_told(name: str, value: Any) -> str:
    if name.endswith("bytes"):
        return f"{value / 2**20:g} MiB"
    if name.endswith("_ms"):
        return f"{value / DAY_MS:g} days"
    return f"{value:,}" if isinstance(value, int) else f"{value:g} s"


def test_every_limit_and_time_is_there_with_its_default_and_no_other() -> None:
    for group, told in zip((Limits, Timing), tables("## Limits and times"), strict=True):
        fields = dataclasses.fields(group)
        assert told == {field.name: as_told(field.name, field.default) for field in fields}


def test_every_setting_is_there_with_its_default_and_no_other(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "node.db")
    properties = [name for name, it in vars(Settings).items() if isinstance(it, property)]
    values = {name: getattr(settings, name) for name in properties}
    told, _ = tables("## Settings")
    assert told == {
        name: '`""`' if value == "" else f"`{value!r}`" for name, value in values.items()
    }


def test_everything_of_the_status_is_there_and_no_other() -> None:
    _, told = tables("## Settings")
    assert sorted(told) == sorted(field.name for field in dataclasses.fields(Status))


def test_every_state_of_a_sample_is_there_and_every_problem() -> None:
    answers, states = tables("## What an answer does")
    (declared,) = re.findall(r"check \(state in \((.+)\)\)", SCHEMA.read_text(encoding="utf-8"))
    assert sorted(states) == sorted(re.findall(r"'(\w+)'", declared))
    codes = {code.name for code in grpc.StatusCode}
    assert answers.keys() <= codes
    assert {problem.value for problem in Problem} <= set(
        _NAME.findall(section("## What an answer does"))
    )


def test_every_call_is_there_with_its_arguments() -> None:
    (table,) = re.findall(r"^\| call \|.*\n(?:\|.*\n)+", PAGE, re.MULTILINE)
    calls = [name for name, _ in inspect.getmembers(TelemetryClient, inspect.isfunction)]
    for name in calls:
        assert name.startswith("_") or f"`{name}(" in table
    arguments = inspect.signature(TelemetryClient.message_received).parameters
    for name, argument in list(arguments.items())[1:]:
        value = argument.default
        default = "…" if value is inspect.Parameter.empty else repr(value)
        if isinstance(value, IntEnum):
            default = f"{type(value).__name__}.{value.name}"
        assert f"{name}={default}".replace("'", '"') in table
