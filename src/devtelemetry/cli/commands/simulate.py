"""`simulate` and `demo`."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from devtelemetry.cli.options import is_given, without_settings
from devtelemetry.cli.values import parsed_timeframe
from devtelemetry.runtime.clock import utc_now
from devtelemetry.settings.errors import BadOption
from devtelemetry.simulator.loss import LOSS_MODELS


def _loss_model(text: str) -> str:
    if text not in LOSS_MODELS:
        raise BadOption(f"--loss-model: {text!r} is not known; allowed: {', '.join(LOSS_MODELS)}")
    return text


def _within(least: float, most: float, **options: float) -> None:
    """Raises BadOption for the first option that is out of range."""
    for name, value in options.items():
        if not least <= value <= most:
            raise BadOption(
                f"--{name.replace('_', '-')}: {value:g} is out of range; allowed: {least:g} to "
                f"{most:g}"
            )


_LossModel = Annotated[
    str,
    typer.Option(metavar="MODEL", help=f"Why messages get lost: {', '.join(LOSS_MODELS)}."),
]
_Loss = Annotated[float, typer.Option(help="Share of the deliveries that are lost.")]
_Seed = Annotated[int, typer.Option(help="The same seed gives the same losses, so the same truth.")]


# Options that `--audit` does not take, because it injects its own messages into one window.
_WORLDS_OWN = (
    "channels",
    "messages_per_hour",
    "hours",
    "loss_model",
    "report_loss",
    "outsiders",
    "crashes",
    "truth",
)
_AUDITS_OWN = ("quorum", "state", "wait")
_AUDIT_NODES = 20
_AUDIT_LOSS = 0.1


@without_settings
def simulate(
    context: typer.Context,
    target: Annotated[str, typer.Option(metavar="HOST:PORT", help="The server's gRPC address.")],
    audit: Annotated[
        bool,
        typer.Option(
            "--audit",
            help="Inject known losses into one window of a deployment in use and check whether its "
            "figures show them. They are in a reserved channel that is part of no total.",
        ),
    ] = False,
    nodes: Annotated[
        int | None,
        typer.Option(
            help=f"Devices, each a receiver; by default 200, with --audit {_AUDIT_NODES}."
        ),
    ] = None,
    channels: Annotated[int, typer.Option(help="Channels; each user is in three of them.")] = 12,
    messages_per_hour: Annotated[
        float, typer.Option(help="Messages in an hour in each channel, on average.")
    ] = 60,
    hours: Annotated[
        float, typer.Option(help="Hours that are measured: a whole number of windows.")
    ] = 1,
    timeframe: Annotated[
        str | None,
        typer.Option(
            metavar="TIMEFRAME",
            help="Length of the windows; by default 1h, with --live 1m, with --audit the "
            "server's shortest.",
        ),
    ] = None,
    loss_model: _LossModel = "independent",
    loss: Annotated[
        float | None,
        typer.Option(
            help="Share of the deliveries that are lost; by default 0.03, with --audit "
            f"{_AUDIT_LOSS}."
        ),
    ] = None,
    report_loss: Annotated[
        float,
        typer.Option(help="Share of the nodes that lose reports of what they hold."),
    ] = 0,
    outsiders: Annotated[
        float,
        typer.Option(help="Share of the messages whose author has not opted in."),
    ] = 0,
    crashes: Annotated[int, typer.Option(help="Nodes that are killed once.")] = 3,
    seed: _Seed = 1,
    live: Annotated[
        bool,
        typer.Option(
            "--live/--compress",
            help="Run in real time from now on, or simulate the last hours as fast as possible. "
            "With --audit: take the window that ends next, or the latest that is over.",
        ),
    ] = False,
    quorum: Annotated[
        int, typer.Option(help="With --audit: the value of the server's setting quorum.")
    ] = 1,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --audit: a file that remembers the audits. The server is asked to forget "
            "each one after its window is settled.",
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            help="With --audit: how long to wait for the figures; by default as long as "
            "they should take.",
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the true figures to this file, as JSON."),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Compare the truth with the figures of the server at this address."
        ),
    ] = None,
    compare_token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN", help="A token of scope read, if the server of --compare asks for one."
        ),
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="A token, if the target asks for one.")
    ] = None,
    tls_ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The authorities to trust (PEM), also for --compare."),
    ] = None,
) -> None:
    """Run a network of messengers with known losses against a server."""
    from devtelemetry.simulator import simulate as room
    from devtelemetry.simulator.fetch import check_address, trust
    from devtelemetry.simulator.node import Target

    trust(tls_ca)
    if compare is not None:
        check_address(compare)
    given = {name for name in (*_WORLDS_OWN, *_AUDITS_OWN) if is_given(context, name)}
    if audit:
        _refuse(
            given.intersection(_WORLDS_OWN),
            "not possible with --audit, which chooses this itself; allowed: without --audit",
        )
        _audit(
            target,
            token,
            tls_ca,
            seed=seed,
            nodes=_AUDIT_NODES if nodes is None else nodes,
            loss=_AUDIT_LOSS if loss is None else loss,
            quorum=quorum,
            timeframe=timeframe,
            is_live=live,
            compare=compare,
            compare_token=compare_token,
            state=state,
            wait=wait,
        )
        return
    _refuse(given.intersection(_AUDITS_OWN), "it is only for audits; allowed: with --audit")
    nodes = 200 if nodes is None else nodes
    loss = 0.03 if loss is None else loss
    _within(0, 1, loss=loss, report_loss=report_loss, outsiders=outsiders)
    _within(2, 2_000, nodes=nodes)
    _within(1, 1_000, channels=channels)
    _within(0.1, 100_000, messages_per_hour=messages_per_hour)
    _within(0, 100, crashes=crashes)
    _within(0, 144, hours=hours)
    windows = parsed_timeframe(timeframe or ("1m" if live else "1h"))
    span = timedelta(hours=hours)
    if span <= timedelta(0) or span % windows.length:
        raise BadOption(
            f"--hours: {hours:g} hours are not a whole number of {windows.name} windows; allowed: "
            "one window or more"
        )
    room.simulate(
        room.SimulationRequest(
            target=Target(_server(target), token, tls_ca),
            seed=seed,
            nodes=nodes,
            channels=channels,
            messages_per_hour=messages_per_hour,
            timeframe=windows,
            span=span,
            loss_model=_loss_model(loss_model),
            loss=loss,
            report_loss=report_loss,
            outsiders=outsiders,
            crashes=crashes,
            is_live=live,
            truth=truth,
            compare_url=compare,
            compare_token=compare_token,
        ),
        utc_now(),
    )


def _audit(
    target: str,
    token: str | None,
    tls_ca: Path | None,
    *,
    seed: int,
    nodes: int,
    loss: float,
    quorum: int,
    timeframe: str | None,
    is_live: bool,
    compare: str | None,
    compare_token: str | None,
    state: Path | None,
    wait: float | None,
) -> None:
    from devtelemetry.simulator import inject as room
    from devtelemetry.simulator.audit import LEAST_NODES
    from devtelemetry.simulator.node import Target

    _within(LEAST_NODES, 100, nodes=nodes)
    _within(0, 0.5, loss=loss)
    _within(1, nodes - 2, quorum=quorum)
    if wait is not None:
        _within(0, 10_000, wait=wait)
    room.audit(
        room.AuditRequest(
            target=Target(_server(target), token, tls_ca),
            seed=seed,
            nodes=nodes,
            loss=loss,
            quorum=quorum,
            timeframe=None if timeframe is None else parsed_timeframe(timeframe),
            is_live=is_live,
            compare_url=compare,
            compare_token=compare_token,
            state=state,
            wait=None if wait is None else timedelta(minutes=wait),
        )
    )


def _refuse(options: Iterable[str], why: str) -> None:
    for name in sorted(options):
        raise BadOption(f"--{name.replace('_', '-')}: {why}")


def _server(target: str) -> str:
    from devtelemetry.client.errors import ClientError
    from devtelemetry.client.settings import check_server

    try:
        return check_server(target)
    except ClientError as error:
        raise BadOption(f"--target: {error}") from None


@without_settings
def demo(
    nodes: Annotated[int, typer.Option(help="Devices that send messages.")] = 40,
    loss_model: _LossModel = "mixed",
    loss: _Loss = 0.05,
    seed: _Seed = 1,
    minutes: Annotated[int, typer.Option(help="How long the demo runs.")] = 60,
    http_listen: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="Where the dashboard is served; port 0: any free one."
        ),
    ] = "127.0.0.1:0",
) -> None:
    """Run a server with a week of history and nodes, and show true and measured figures."""
    from devtelemetry.simulator import demo as room

    _within(0, 1, loss=loss)
    _within(2, 200, nodes=nodes)
    _within(2, 600, minutes=minutes)
    room.demo(
        room.DemoRequest(
            nodes=nodes,
            loss_model=_loss_model(loss_model),
            loss=loss,
            seed=seed,
            span=timedelta(minutes=minutes),
            http_listen=http_listen,
        )
    )
