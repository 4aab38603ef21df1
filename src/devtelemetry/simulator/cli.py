"""The options of `simulate` and `demo`. What they need is imported when they run."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from devtelemetry.aggregate.windows import parse_timeframe
from devtelemetry.clock import utc_now
from devtelemetry.config import BadOption
from devtelemetry.simulator.loss import LOSS_MODELS


def _loss_model(text: str) -> str:
    if text not in LOSS_MODELS:
        raise BadOption(f"--loss-model: {text!r} is not known; allowed: {', '.join(LOSS_MODELS)}")
    return text


def _within(least: float, most: float, **options: float) -> None:
    """Raises BadOption for the first that is not."""
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
_Loss = Annotated[float, typer.Option(help="How many, as a share.")]
_Seed = Annotated[int, typer.Option(help="Of all chance: the same seed, the same truth.")]


def simulate(
    target: Annotated[str, typer.Option(metavar="HOST:PORT", help="The server's gRPC address.")],
    nodes: Annotated[int, typer.Option(help="Devices; each is a receiver.")] = 200,
    channels: Annotated[int, typer.Option(help="Each user is in three of them.")] = 12,
    messages_per_hour: Annotated[float, typer.Option(help="Of a channel, on average.")] = 60,
    hours: Annotated[
        float, typer.Option(help="How long is measured: a whole number of windows.")
    ] = 1,
    timeframe: Annotated[
        str | None,
        typer.Option(metavar="TIMEFRAME", help="Of these windows: 1h, with --live 1m."),
    ] = None,
    loss_model: _LossModel = "independent",
    loss: _Loss = 0.03,
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
            help="In real time from now on, or the latest past hours as fast as it goes.",
        ),
    ] = False,
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there what is true, as JSON.")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Show the figures that a server gives there beside it."),
    ] = None,
    compare_token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="Of scope read, if that asks for one.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="If the target asks for one.")
    ] = None,
    tls_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM of the authorities to trust.")
    ] = None,
) -> None:
    """Run a network of messengers with known losses against a server."""
    from devtelemetry.client.errors import ClientError  # noqa: PLC0415
    from devtelemetry.client.settings import check_server  # noqa: PLC0415
    from devtelemetry.simulator import simulate as room  # noqa: PLC0415
    from devtelemetry.simulator.node import Target  # noqa: PLC0415

    _within(0, 1, loss=loss, report_loss=report_loss, outsiders=outsiders)
    _within(2, 2_000, nodes=nodes)
    _within(1, 1_000, channels=channels)
    _within(0.1, 100_000, messages_per_hour=messages_per_hour)
    _within(0, 100, crashes=crashes)
    _within(0, 144, hours=hours)
    try:
        server = check_server(target)
    except ClientError as error:
        raise BadOption(f"--target: {error}") from None
    try:
        windows = parse_timeframe(timeframe or ("1m" if live else "1h"))
    except ValueError as error:
        raise BadOption(f"--timeframe: {error}") from None
    span = timedelta(hours=hours)
    if span <= timedelta(0) or span % windows.length:
        raise BadOption(
            f"--hours: {hours:g} hours are no whole number of {windows.name} windows; allowed: "
            "one or more of them"
        )
    room.simulate(
        room.Asked(
            target=Target(server, token, tls_ca),
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


def demo(
    nodes: Annotated[int, typer.Option(help="Devices that talk.")] = 24,
    loss_model: _LossModel = "mixed",
    loss: _Loss = 0.05,
    seed: _Seed = 1,
    minutes: Annotated[int, typer.Option(help="How long they talk; then the demo ends.")] = 60,
    http_listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to look at it; port 0: any free one.")
    ] = "127.0.0.1:0",
) -> None:
    """Show it all: a server with a week of history, nodes that talk, measured beside true."""
    from devtelemetry.simulator import demo as room  # noqa: PLC0415

    _within(0, 1, loss=loss)
    _within(2, 200, nodes=nodes)
    _within(2, 600, minutes=minutes)
    room.demo(
        room.Asked(
            nodes=nodes,
            loss_model=_loss_model(loss_model),
            loss=loss,
            seed=seed,
            span=timedelta(minutes=minutes),
            http_listen=http_listen,
        )
    )
