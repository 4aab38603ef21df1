"""The command line: reads what is asked, calls the room that does it, says how it went.

The options that are settings are made from config.py; a command names those that matter to it.
Results go to standard output, everything else to stderr. Exit status: 0 done, 1 failed (one line
says what and what to do), 2 usage. What a command needs is imported by it, so that --help is fast.
"""

import asyncio
import contextlib
import functools
import inspect
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from devtelemetry import __version__
from devtelemetry.causes.classify import BURST_MESSAGES
from devtelemetry.cli import simulate as simulator
from devtelemetry.model import Dimension, MembershipPolicy
from devtelemetry.model.errors import DatabaseAway, DatabaseError, DevTelemetryError
from devtelemetry.runtime.clock import now_ms, utc_now
from devtelemetry.settings.settings import (
    BadOption,
    Settings,
    default_text,
    description,
    is_switch,
    notation,
    option_name,
    settings_table,
)

if TYPE_CHECKING:
    from devtelemetry.causes.read import MissingRequest
    from devtelemetry.figures.read import Selection
    from devtelemetry.model import WindowReliability
    from devtelemetry.publish.publisher import Published, Span
    from devtelemetry.report.report import ReportRequest
    from devtelemetry.store.tokens import TokenInfo
    from devtelemetry.transfer.transfer import Imported, InputFile

SHOWN_REJECTIONS = 20  # of one file; more of them say nothing new

_EVERYWHERE = ("database_url", "data_dir", "config", "log_level", "log_format")
_SERVER = tuple(name for name in Settings.model_fields if name not in _EVERYWHERE)
_WINDOWS = (
    "timeframes",
    "membership",
    "allowed_lateness",
    "settle_time",
    "recompute_interval",
    "quorum",
    "weight_cap",
    "smallest_group",
    "unmeasured_channels",
    "unmeasured_types",
    "legacy_unmeasured_channels",
    "legacy_unmeasured_types",
)

# What decides which messages count in a window, and for whom.
_DRILL_DOWN = tuple(
    name
    for name in _WINDOWS
    if name in {"timeframes", "membership", "quorum", "weight_cap"} or "unmeasured" in name
)
_REMOTE_WRITE = tuple(name for name in Settings.model_fields if name.startswith("remote_write_"))

_T = TypeVar("_T")

_app = typer.Typer(
    help="How reliably do the messages of a messenger arrive?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_tokens = typer.Typer(
    help="Tokens that let clients push samples and readers read figures.", no_args_is_help=True
)
_app.add_typer(_tokens, name="token")
_reports = typer.Typer()
_app.add_typer(_reports, name="report")


def run() -> int:
    """Runs the command of sys.argv; returns the exit status."""
    try:
        _app(prog_name="devtelemetry")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


# ------------------------------------------------------------------------------------ machinery


def _with_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command options for these settings and those every command has.

    The command gets the checked Settings as `settings`; its own options stay as they are.
    """
    generated = (*names, *_EVERYWHERE)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run_command(**values: Any) -> None:
            options = {name: values.pop(name) for name in generated}
            with _one_line_errors():
                given = {name: value for name, value in options.items() if value is not None}
                settings = Settings(**given)
                _configure_logging(settings, runs_for_long=names == _SERVER)
                command(settings=settings, **values)

        own = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
        options = [_option(name) for name in generated]
        # Typer reads the signature.
        run_command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + options
        )
        run_command.__annotations__ = {}
        return run_command

    return decorate


def _option(name: str) -> inspect.Parameter:
    """The option of a setting. Its text is checked with the other settings, not by Typer."""
    flag = option_name(name)
    if is_switch(name):
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    option = typer.Option(
        flag,
        help=f"{description(name)} Default: {default_text(name)}.".replace("`", ""),
        metavar=notation(name).metavar or None,
        show_default=False,
        rich_help_panel="Settings",
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[bool | None if is_switch(name) else str | None, option],
    )


def _configure_logging(settings: Settings, *, runs_for_long: bool) -> None:
    from devtelemetry.runtime.logs import configure_logging  # noqa: PLC0415

    # What a command that ends at once does in passing is news only to who asks for it.
    is_asked_for = runs_for_long or "log_level" in settings.model_fields_set
    configure_logging(settings.log_level if is_asked_for else "warning", settings.log_format)


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (typer.Exit, typer.Abort, ModuleNotFoundError):
        raise
    except BadOption as error:
        _fail(str(error), 2)
    except DatabaseAway as error:
        _fail(f"the database: {error.detail}", 1)
    except DatabaseError as error:
        _fail(f"the database: {error}", 1)
    except DevTelemetryError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        # Whoever read the output has gone. What is left of it must not fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        _fail(f"{name}{error.strerror or error or 'timed out'}", 1)
    except Exception as error:
        import structlog  # noqa: PLC0415

        structlog.get_logger(__name__).debug("what went wrong", exc_info=True)
        _fail(
            f"a fault in the program: {type(error).__name__}: {error}; "
            "please report it with what --log-level debug shows",
            1,
        )


def _fail(message: str, status: int) -> NoReturn:
    line = " ".join(message.split())
    sys.stderr.write(f"devtelemetry: {line}\n")
    raise typer.Exit(status)


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs a command's work; Ctrl-C and SIGTERM end it in order, the bundled database too."""

    async def interruptible() -> _T:
        # At once, even while it waits for a line of standard input, where the loop does not run.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return await work

    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return asyncio.run(interruptible())
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _write(data: bytes) -> None:
    """All of it: where Python runs unbuffered, standard output may take a part only."""
    rest = memoryview(data)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _moment(option: str, text: str | None) -> datetime | None:
    from devtelemetry.figures.read import parse_moment  # noqa: PLC0415

    if text is None:
        return None
    try:
        return parse_moment(text)
    except ValueError as error:
        raise BadOption(f"{option}: {error}") from None


def _timeframe_name(text: str | None) -> str | None:
    from devtelemetry.model import parse_timeframe  # noqa: PLC0415

    if text is None:
        return None
    try:
        return parse_timeframe(text).name
    except ValueError as error:
        raise BadOption(f"--timeframe: {error}") from None


# ------------------------------------------------------------------------------------- commands


def _print_version(wanted: bool) -> None:
    if wanted:
        _say(f"devtelemetry {__version__}")
        raise typer.Exit


@_app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


@_app.command("serve")
@_with_settings(*_SERVER)
def _serve(settings: Settings) -> None:
    """Run everything: take samples, compute windows, clean, answer."""
    with _shared_metrics(settings.workers):
        from devtelemetry.server.serve import serve  # noqa: PLC0415

        asyncio.run(serve(settings))


@contextlib.contextmanager
def _shared_metrics(processes: int) -> Iterator[None]:
    """Where the processes of one server keep their metrics, so that a scrape shows the sum.

    The variable is metrics.SHARED_DIRECTORY, which cannot be imported before it is set.
    """
    if processes == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="devtelemetry-metrics-") as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        try:
            yield
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]


_File = Annotated[str, typer.Argument(metavar="FILE", help="NDJSON; .gz is unpacked, - is stdin.")]


@_app.command("import")
@_with_settings("retention", "clock_skew", "timeframes", "settle_time")
def _import(settings: Settings, file: _File) -> None:
    """Store samples from a file of one JSON object a line."""
    from devtelemetry.runtime.garbage import relax  # noqa: PLC0415
    from devtelemetry.transfer.transfer import InputFile  # noqa: PLC0415

    relax()
    with InputFile(file) as opened, _progress(opened) as advance:
        result = _run(_import_lines(settings, opened, advance))
    if result.rejected > SHOWN_REJECTIONS:
        _tell(f"and {result.rejected - SHOWN_REJECTIONS} more lines")
    _say(f"imported {result.imported}, duplicates {result.duplicates}, rejected {result.rejected}")
    if result.rejected:
        raise typer.Exit(1)


async def _import_lines(
    settings: Settings, file: "InputFile", advance: Callable[[], None]
) -> "Imported":
    from devtelemetry.server import wiring  # noqa: PLC0415
    from devtelemetry.transfer.transfer import import_samples  # noqa: PLC0415

    shown = 0

    def on_rejected(number: int, why: str) -> None:
        nonlocal shown
        shown += 1
        if shown <= SHOWN_REJECTIONS:
            _tell(f"line {number}: {why}")

    async with wiring.opened_database(settings) as database:
        return await import_samples(
            database,
            file.lines(),
            wiring.age_limits(settings),
            wiring.settle_rule(settings),
            now_ms=now_ms,
            on_rejected=on_rejected,
            on_note=_tell,
            on_batch=advance,
        )


@contextlib.contextmanager
def _progress(file: "InputFile") -> Iterator[Callable[[], None]]:
    """A bar on a terminal, by bytes where the size is known; yields what moves it."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    bar = Progress(
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # what is said on stderr goes above the bar, results go their way
    )
    with bar:
        task = bar.add_task("import", total=file.size_bytes)
        yield lambda: bar.update(task, completed=file.position_bytes)


@_app.command("export")
@_with_settings()
def _export(settings: Settings) -> None:
    """Write all samples to standard output, in the format that import reads."""
    _run(_export_lines(settings))


async def _export_lines(settings: Settings) -> None:
    from devtelemetry.server import wiring  # noqa: PLC0415
    from devtelemetry.transfer.transfer import export_samples  # noqa: PLC0415

    async with (
        wiring.opened_database(settings) as database,
        contextlib.aclosing(export_samples(database)) as pieces,
    ):
        async for piece in pieces:
            _write(piece)
        sys.stdout.buffer.flush()


@_app.command("aggregate")
@_with_settings(*_WINDOWS)
def _aggregate(
    settings: Settings,
    timeframe: Annotated[
        str | None, typer.Option(metavar="TIMEFRAME", help="With --window-start: of this length.")
    ] = None,
    window_start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Compute the window that starts then, now.")
    ] = None,
) -> None:
    """Compute all windows that are due, or one of them now."""
    start = _moment("--window-start", window_start)
    name = _timeframe_name(timeframe)
    if (name is None) != (start is None):
        raise BadOption(
            "--timeframe and --window-start name a window together; allowed: both, or none"
        )
    _run(_compute(settings, name, start))


async def _compute(settings: Settings, name: str | None, start: datetime | None) -> None:
    from devtelemetry.aggregate.aggregate import compute_due, compute_one  # noqa: PLC0415
    from devtelemetry.server import wiring  # noqa: PLC0415

    rules = wiring.aggregate_rules(settings)
    async with wiring.opened_database(settings) as database:
        if name is not None and start is not None:
            timeframe = wiring.aggregate_rules(settings).timeframe(name)
            _say_window(await compute_one(database, rules, timeframe, start, now=utc_now))
            return
        computed = await compute_due(database, rules, now=utc_now, on_window=_say_window)
        _say(f"computed {computed}" + ("" if computed else ": no window is due"))


def _say_window(window: "WindowReliability") -> None:
    from devtelemetry.figures.document import iso  # noqa: PLC0415
    from devtelemetry.report.report import percent, without_ratio  # noqa: PLC0415

    counts = window.counts
    ratios = without_ratio(window)
    if window.reliability is not None:
        ratios = (
            f"delivery ratio {percent(counts.delivery_ratio)} "
            f"({counts.missing} of {counts.corroborated} missing), R {percent(window.reliability)}"
        )
    name = f"{window.timeframe} {iso(window.window.start)} {window.membership}"
    _say(f"{name} {window.state}: {ratios}")


def _unless_invoked(command: Callable[..., None]) -> Callable[..., None]:
    """For a command that has commands of its own: it does nothing where one of these is meant."""

    @functools.wraps(command)
    def run_command(*, context: typer.Context, **values: Any) -> None:
        if context.invoked_subcommand is None:
            command(**values)
        elif given := [name for name in values if _is_given(context, name)]:
            with _one_line_errors():
                names = ", ".join(f"--{name.strip('_').replace('_', '-')}" for name in given)
                raise BadOption(
                    f"{names}: stands before {context.invoked_subcommand}; allowed: behind it, "
                    "if it has it"
                )

    parameter = inspect.Parameter(
        "context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context
    )
    options = inspect.signature(command).parameters.values()
    run_command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter, *options]
    )
    return run_command


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@_reports.callback(invoke_without_command=True)
@_unless_invoked
@_with_settings("influence_limit")
def _report(
    settings: Settings,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    timeframe: Annotated[
        str | None,
        typer.Option(
            metavar="TIMEFRAME",
            help="Windows of this length; with --json the shortest if not said.",
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Windows that end after this time."),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="TIME", help="Windows that start before this time.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(metavar="ID", help="The figures of this channel alone.")
    ] = None,
    membership: Annotated[
        MembershipPolicy | None, typer.Option(help="Windows of this policy; all if not said.")
    ] = None,
    by: Annotated[Dimension | None, typer.Option(help="Break the figures down by this.")] = None,
    versus: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE",
            help="With --by: the group to hold the others against; else the largest.",
        ),
    ] = None,
) -> None:
    """Show the figures that were computed."""
    name = _timeframe_name(timeframe)
    start, end = _moment("--from", from_), _moment("--to", to)
    if start is not None and end is not None and start >= end:
        raise BadOption(f"--from: {from_} does not lie before --to {to}")
    if versus is not None and by is None:
        raise BadOption("--versus names a group; allowed: with --by, which says of what")
    if json:
        from devtelemetry.figures.read import Selection  # noqa: PLC0415

        selection = Selection(
            name or settings.timeframes[0].name,
            start,
            end,
            channel,
            membership,
            () if by is None else (by,),
        )
        _run(_report_json(settings, selection, by, versus))
    else:
        from devtelemetry.report.report import ReportRequest  # noqa: PLC0415

        limit = settings.influence_limit
        _run(
            _report_table(
                settings, ReportRequest(name, start, end, channel, membership, by, versus, limit)
            )
        )


async def _report_json(
    settings: Settings, selection: "Selection", by: Dimension | None, versus: str | None
) -> None:
    from devtelemetry.figures.document import document  # noqa: PLC0415
    from devtelemetry.figures.read import read_windows  # noqa: PLC0415
    from devtelemetry.server import wiring  # noqa: PLC0415

    async with wiring.opened_database(settings) as database:
        async for piece in document(
            selection.timeframe, read_windows(database, selection), by, versus
        ):
            _write(piece)
        sys.stdout.buffer.flush()


async def _report_table(settings: Settings, asked: "ReportRequest") -> None:
    from rich.console import Console  # noqa: PLC0415

    from devtelemetry.report.report import print_report  # noqa: PLC0415
    from devtelemetry.server import wiring  # noqa: PLC0415

    async with wiring.opened_database(settings) as database:
        await print_report(database, Console(highlight=False), asked)


@_reports.command("missing")
@_with_settings(*_DRILL_DOWN)
def _report_missing(
    settings: Settings,
    channel: Annotated[str, typer.Option(metavar="ID", help="The channel to look into.")],
    timeframe: Annotated[
        str | None,
        typer.Option(metavar="TIMEFRAME", help="Length of the window; the shortest if not said."),
    ] = None,
    window_start: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="When the window starts, or the latest that is computed."
        ),
    ] = "latest",
    receiver: Annotated[
        str | None, typer.Option(metavar="ID", help="Only what this receiver lacks.")
    ] = None,
    burst: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            min=2,
            help="A run of so many losses on, which others got, is a burst.",
        ),
    ] = BURST_MESSAGES,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            min=1,
            help="Messages, and receivers, at most: 20; with --json 100; in an export all.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    ndjson: Annotated[
        bool, typer.Option("--ndjson", help="Every message with all who lack it, a line each.")
    ] = False,
    csv: Annotated[
        str | None, typer.Option(metavar="FILE", help="The same as CSV; - is standard output.")
    ] = None,
) -> None:
    """Show which messages of a channel are missing, at whom, and in which pattern."""
    from devtelemetry.causes.read import MissingRequest  # noqa: PLC0415
    from devtelemetry.server import wiring  # noqa: PLC0415

    if json + ndjson + (csv is not None) > 1:
        raise BadOption("--json, --ndjson, --csv: several are given; allowed: one of them")
    name = _timeframe_name(timeframe) or settings.timeframes[0].name
    start = None if window_start == "latest" else _moment("--window-start", window_start)
    _run(
        _drill_down(
            settings,
            MissingRequest(channel, wiring.aggregate_rules(settings).timeframe(name), start, burst),
            _receiver_id(receiver),
            limit,
            "json" if json else "ndjson" if ndjson else "table" if csv is None else "csv",
            csv,
        )
    )


def _receiver_id(text: str | None) -> int | None:
    from devtelemetry.store.keyring import parse_receiver  # noqa: PLC0415

    if text is None:
        return None
    try:
        return parse_receiver(text)
    except ValueError as error:
        raise BadOption(f"--receiver: {error}") from None


async def _drill_down(
    settings: Settings,
    asked: "MissingRequest",
    only: int | None,
    limit: int | None,
    form: str,
    file: str | None,
) -> None:
    from devtelemetry.causes import document, show  # noqa: PLC0415
    from devtelemetry.causes.read import drill_down  # noqa: PLC0415
    from devtelemetry.server import wiring  # noqa: PLC0415

    async with (
        wiring.opened_database(settings) as database,
        drill_down(database, wiring.aggregate_rules(settings), asked, now=utc_now) as found,
    ):
        if form == "table":
            from rich.console import Console  # noqa: PLC0415

            console = Console(highlight=False, markup=False)
            await show.print_missing(console, found, only=only, limit=limit or show.WORST)
        elif form == "json":
            page = await document.page(found, only=only, limit=limit or document.LISTED)
            _write(document.as_bytes(page))
        elif form == "ndjson":
            await _write_to("-", document.ndjson(found, only=only, limit=limit))
        elif file is not None:
            await _write_to(file, document.as_csv(found, only=only, limit=limit))
        sys.stdout.buffer.flush()


async def _write_to(file: str, pieces: AsyncIterator[bytes]) -> None:
    """A file, or for `-` standard output."""
    with contextlib.ExitStack() as stack:
        write = _write
        if file != "-":
            opened = stack.enter_context(Path(file).open("wb"))  # noqa: ASYNC230 - nobody waits

            def write(data: bytes) -> None:
                opened.write(data)

        async for piece in pieces:
            write(piece)


@_app.command("publish")
@_with_settings("membership", "insecure", *_REMOTE_WRITE)
def _publish(
    settings: Settings,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Windows that end after this time."),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="TIME", help="Windows that start before this time.")
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option(metavar="TIMEFRAME", help="Windows of this length; else all.")
    ] = None,
    rate: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, help="Points a second that are sent at most.")
    ] = 20_000,
) -> None:
    """Send stored windows to the store of time series once more, to fill a new one."""
    from devtelemetry.publish.publisher import Span, by_reason  # noqa: PLC0415

    start, end = _moment("--from", from_), _moment("--to", to)
    if start is not None and end is not None and start >= end:
        raise BadOption(f"--from: {from_} does not lie before --to {to}")
    published = _run(_back_fill(settings, Span(start, end, _timeframe_name(timeframe)), rate))
    points = published.points
    reasons = f" ({by_reason(points.rejected)})" if points.rejected else ""
    _say(
        f"published {published.windows} windows, {points.taken} points, "
        f"rejected {points.rejected.total()}{reasons}"
    )
    if points.rejected:
        raise typer.Exit(1)


async def _back_fill(settings: Settings, span: "Span", rate: int) -> "Published":
    from devtelemetry.publish.publisher import back_fill, count_within  # noqa: PLC0415
    from devtelemetry.server import wiring  # noqa: PLC0415

    what = wiring.published_series(settings)
    async with wiring.remote_write(settings) as store, wiring.opened_database(settings) as database:
        with _windows_bar(await count_within(database, what, span)) as advance:
            return await back_fill(
                database,
                store,
                what,
                span,
                points_per_second=rate,
                now=utc_now,
                on_sent=lambda published: advance(published.windows),
            )


@contextlib.contextmanager
def _windows_bar(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; yields what says how many windows are done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TimeRemainingColumn,
    )

    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("publish", total=total)
        yield lambda windows: bar.update(task, completed=windows)


@_app.command("clean")
@_with_settings("retention", *_WINDOWS)
def _clean(settings: Settings) -> None:
    """Drop the days of samples that are due."""
    _run(_clean_days(settings))


async def _clean_days(settings: Settings) -> None:
    from devtelemetry.retention.clean import clean  # noqa: PLC0415
    from devtelemetry.server import wiring  # noqa: PLC0415

    async with wiring.opened_database(settings) as database:
        result = await clean(
            database, wiring.aggregate_rules(settings), settings.retention, now=utc_now
        )
    for day in result.dropped:
        _say(f"dropped {day}")
    for day, reason in result.kept:
        _say(f"kept {day}: {reason}")
    _say(f"dropped {len(result.dropped)}, kept {len(result.kept)}")


@_app.command("forget")
@_with_settings()
def _forget(
    settings: Settings,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The receiver's public key.")],
) -> None:
    """Delete all samples of a receiver, on all its devices."""
    _run(_forget_receiver(settings, key))


async def _forget_receiver(settings: Settings, key: str) -> None:
    from devtelemetry.retention.forget import forget_key  # noqa: PLC0415
    from devtelemetry.server import wiring  # noqa: PLC0415

    async with wiring.opened_database(settings) as database:
        deleted = await forget_key(database, key)
    _say(f"deleted {deleted}")


def _without_settings(command: Callable[..., None]) -> Callable[..., None]:
    """For a command that uses no server's settings: its errors are one line, SIGTERM ends it."""

    @functools.wraps(command)
    def run_command(**values: Any) -> None:
        from devtelemetry.runtime.logs import configure_logging  # noqa: PLC0415

        configure_logging("warning", "console")
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            with _one_line_errors():
                command(**values)
        finally:
            signal.signal(signal.SIGTERM, before)

    return run_command


_app.command("demo")(_without_settings(simulator.demo))
_app.command("simulate")(_without_settings(simulator.simulate))


@_app.command(
    "client",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def _client(context: typer.Context) -> None:
    """The opt-in of this machine: status, enable, disable, show, blind."""
    from devtelemetry.client.cli import run as run_client  # noqa: PLC0415

    raise typer.Exit(run_client(context.args))


@_app.command(
    "desktop",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def _desktop(context: typer.Context) -> None:
    """The Advanced settings page of this machine, in a window. Needs the extra `desktop`."""
    from devtelemetry.desktop.cli import run as run_desktop  # noqa: PLC0415

    raise typer.Exit(run_desktop(context.args))


_TokenName = Annotated[str, typer.Argument(metavar="NAME", help="What the token is called here.")]


@_tokens.command("create")
@_with_settings()
def _token_create(
    settings: Settings,
    name: _TokenName,
    scope: Annotated[
        str, typer.Option(metavar="ingest|read", help="Push samples, or read figures.")
    ] = "ingest",
) -> None:
    """Make a token and show it, this once."""
    if scope not in ("ingest", "read"):
        raise BadOption(f"--scope: {scope!r} is not known; allowed: ingest or read")
    token = _run(_create_token(settings, name, scope))
    _say(token)
    _tell("Keep it: only its hash is stored, and nobody can show it again.")


async def _create_token(settings: Settings, name: str, scope: str) -> str:
    from devtelemetry.server import wiring  # noqa: PLC0415
    from devtelemetry.store.tokens import Scope, create_token  # noqa: PLC0415

    async with wiring.opened_database(settings) as database:
        return await create_token(database, name, Scope(scope), now=utc_now())


@_tokens.command("list")
@_with_settings()
def _token_list(settings: Settings) -> None:
    """Show the tokens that were made, by name."""
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from devtelemetry.figures.document import iso  # noqa: PLC0415

    tokens = _run(_read_tokens(settings))
    if not tokens:
        _tell("There is no token; `devtelemetry token create NAME` makes one.")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("name", "scope", "created", "state"):
        table.add_column(title, overflow="fold")
    for token in tokens:
        state = "valid" if token.revoked_at is None else f"revoked {iso(token.revoked_at)}"
        table.add_row(token.name, token.scope.value, iso(token.created_at), state)
    Console(highlight=False).print(table)


async def _read_tokens(settings: Settings) -> "list[TokenInfo]":
    from devtelemetry.server import wiring  # noqa: PLC0415
    from devtelemetry.store.tokens import list_tokens  # noqa: PLC0415

    async with wiring.opened_database(settings) as database:
        return await list_tokens(database)


@_tokens.command("revoke")
@_with_settings()
def _token_revoke(settings: Settings, name: _TokenName) -> None:
    """Make a token invalid for good; servers notice within a second."""
    _run(_revoke_token(settings, name))
    _say(f"revoked {name}")


async def _revoke_token(settings: Settings, name: str) -> None:
    from devtelemetry.server import wiring  # noqa: PLC0415
    from devtelemetry.store.tokens import revoke_token  # noqa: PLC0415

    async with wiring.opened_database(settings) as database:
        await revoke_token(database, name, now=utc_now())


@_app.command("settings")
def _settings() -> None:
    """Print the table of all settings, as Markdown."""
    sys.stdout.write(settings_table())
