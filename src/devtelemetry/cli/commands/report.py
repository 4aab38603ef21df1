"""`report` and its commands."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from devtelemetry.causes.classify import BURST_MESSAGES
from devtelemetry.cli.errors import one_line_errors
from devtelemetry.cli.options import WINDOWS, is_given, with_settings
from devtelemetry.cli.running import run
from devtelemetry.cli.values import moment, span, timeframe_name
from devtelemetry.model import Dimension, MembershipPolicy
from devtelemetry.releases.asked import Asked
from devtelemetry.releases.decide import MARGIN, Decision
from devtelemetry.report.request import ReportRequest
from devtelemetry.settings.errors import BadOption
from devtelemetry.settings.settings import Settings
from devtelemetry.store.keyring import parse_receiver

# Settings that decide which messages count in a window, and for which receivers.
_DRILL_DOWN = tuple(
    name
    for name in WINDOWS
    if name in {"timeframes", "membership", "quorum", "weight_cap"} or "unmeasured" in name
)

_STATUS = {Decision.SHIP: 0, Decision.HOLD: 3, Decision.NEEDS_MORE: 4}  # 1 and 2 are errors

app = typer.Typer()


def _unless_invoked(command: Callable[..., None]) -> Callable[..., None]:
    """For a command with subcommands. If one of them is invoked, the command does nothing."""

    @functools.wraps(command)
    def run_command(*, context: typer.Context, **values: Any) -> None:
        if context.invoked_subcommand is None:
            command(**values)
        elif given := [name for name in values if is_given(context, name)]:
            with one_line_errors():
                names = ", ".join(f"--{name.strip('_').replace('_', '-')}" for name in given)
                raise BadOption(
                    f"{names}: given before {context.invoked_subcommand}; allowed: after it, if it "
                    "has this option"
                )

    parameter = inspect.Parameter(
        "context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context
    )
    options = inspect.signature(command).parameters.values()
    run_command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter, *options]
    )
    return run_command


@app.callback(invoke_without_command=True)
@_unless_invoked
@with_settings("influence_limit", "objective")
def report(
    settings: Settings,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    timeframe: Annotated[
        str | None,
        typer.Option(
            metavar="TIMEFRAME",
            help="Windows of this length; by default all, with --json the shortest.",
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
        str | None, typer.Option(metavar="ID", help="Only the figures of this channel.")
    ] = None,
    membership: Annotated[
        MembershipPolicy | None,
        typer.Option(help="Windows of this policy; by default of all policies."),
    ] = None,
    by: Annotated[
        list[Dimension] | None,
        typer.Option(help="Break the figures down by this dimension; may be given several times."),
    ] = None,
    versus: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE",
            help="With --by: the group to compare the others with; by default the largest.",
        ),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="OLD NEW",
            help="Two app versions: may the new one be shipped? Exit status 0: ship, 3: hold, 4: "
            "more receivers are needed.",
        ),
    ] = None,
    platform: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --compare: only this platform.")
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            metavar="POINTS",
            min=0,
            max=100,
            help="With --compare: how many percentage points less the new one may deliver.",
        ),
    ] = 100 * MARGIN,
) -> None:
    """Show the computed figures."""
    from devtelemetry.cli.work import report as work

    if compare is not None:
        _alone_with_compare(timeframe=timeframe, channel=channel, by=by or None, versus=versus)
        beside = Asked(*compare, platform, *span(from_, to), margin / 100)
        decision = run(work.compare(settings, beside, membership, as_json=json))
        raise typer.Exit(_STATUS[decision])
    if platform is not None:
        raise BadOption("--platform: it chooses what --compare compares; allowed: with --compare")
    name = timeframe_name(timeframe)
    start, end = span(from_, to)
    by = by or []
    if versus is not None and len(by) != 1:
        raise BadOption("--versus: it names a group of a breakdown; allowed: with exactly one --by")
    if json and len(by) > 1:
        raise BadOption("--by: given several times; allowed: once with --json")
    limit = settings.influence_limit
    policy = settings.membership
    asked = ReportRequest(
        *(name, start, end, channel, membership, tuple(by), versus, limit, policy),
        settings.objective,
    )
    run(work.as_json(settings, asked) if json else work.as_tables(settings, asked))


@app.command("missing")
@with_settings(*_DRILL_DOWN)
def missing(
    settings: Settings,
    channel: Annotated[str, typer.Option(metavar="ID", help="The channel to look into.")],
    timeframe: Annotated[
        str | None,
        typer.Option(metavar="TIMEFRAME", help="Length of the window; by default the shortest."),
    ] = None,
    window_start: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="When the window starts; latest: the latest computed window."
        ),
    ] = "latest",
    receiver: Annotated[
        str | None, typer.Option(metavar="ID", help="Only the messages that this receiver lacks.")
    ] = None,
    burst: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            min=2,
            help="At least so many losses in a row, of messages that others got, are a burst.",
        ),
    ] = BURST_MESSAGES,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            min=1,
            help="The most messages and receivers to show; by default 20, with --json "
            "100, in an export all.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    ndjson: Annotated[
        bool,
        typer.Option(
            "--ndjson", help="A line for each missing message, with the receivers that lack it."
        ),
    ] = False,
    csv: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The same as --ndjson, but as CSV; - is standard output."
        ),
    ] = None,
) -> None:
    """Show which messages of a channel are missing, at which receivers, in which pattern."""
    from devtelemetry.cli.work import missing as work

    if json + ndjson + (csv is not None) > 1:
        raise BadOption("--json, --ndjson, --csv: more than one is given; allowed: one of them")
    name = timeframe_name(timeframe) or settings.timeframes[0].name
    start = None if window_start == "latest" else moment("--window-start", window_start)
    run(
        work.missing(
            settings,
            channel,
            name,
            start,
            burst,
            only=_receiver_id(receiver),
            limit=limit,
            form="json" if json else "ndjson" if ndjson else "tables" if csv is None else "csv",
            file=csv or "-",
        )
    )


@app.command("table")
@with_settings(*_DRILL_DOWN, "smallest_group")
def table(
    settings: Settings,
    rows: Annotated[
        Dimension, typer.Option(help="The dimension of the rows.")
    ] = Dimension.AUTHOR_APP_VERSION,
    columns: Annotated[
        Dimension, typer.Option(help="The dimension of the columns.")
    ] = Dimension.APP_VERSION,
    channel: Annotated[
        str | None, typer.Option(metavar="ID", help="Only the figures of this channel.")
    ] = None,
    timeframe: Annotated[
        str | None,
        typer.Option(metavar="TIMEFRAME", help="Length of the window; by default the shortest."),
    ] = None,
    window_start: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="When the window starts; latest: the latest window that is over."
        ),
    ] = "latest",
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show a window by two dimensions at once, computed now from its samples."""
    from devtelemetry.cli.work import report as work

    name = timeframe_name(timeframe) or settings.timeframes[0].name
    start = None if window_start == "latest" else moment("--window-start", window_start)
    run(work.table(settings, (rows, columns), name, start, channel, as_json=json))


@app.command("findings")
@with_settings()
def findings(
    settings: Settings,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show faults in how apps report."""
    from devtelemetry.cli.work import report as work

    run(work.findings(settings, as_json=json))


@app.command("problems")
@with_settings()
def problems(
    settings: Settings,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="The problems as of the latest window that had ended by this time."
        ),
    ] = None,
    membership: Annotated[
        MembershipPolicy | None,
        typer.Option(help="Windows of this policy; by default of the policy in the settings."),
    ] = None,
) -> None:
    """Show what loses more messages than in the same hours of earlier days, and since when."""
    from devtelemetry.cli.work import report as work

    until = None if to is None else moment("--to", to)
    run(work.problems(settings, membership or settings.membership, until, as_json=json))


@app.command("releases")
@with_settings("timeframes", "membership", "smallest_group")
def releases(
    settings: Settings,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Show when each app version was first seen, and what share of the receivers has it."""
    from devtelemetry.cli.work import report as work

    run(work.releases(settings, as_json=json))


def _alone_with_compare(**others: object) -> None:
    given = [f"--{name}" for name, value in others.items() if value is not None]
    if given:
        raise BadOption(
            f"{', '.join(given)}: not possible with --compare; allowed: --platform, --margin, "
            "--from, --to, --membership"
        )


def _receiver_id(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_receiver(text)
    except ValueError as error:
        raise BadOption(f"--receiver: {error}") from None
