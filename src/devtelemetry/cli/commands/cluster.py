"""`distribute`."""

from typing import Annotated

import typer

from devtelemetry.cli.options import with_settings
from devtelemetry.cli.running import run
from devtelemetry.settings.errors import BadOption
from devtelemetry.settings.settings import Settings

_MOST_SHARDS = 1_024


@with_settings()
def distribute(
    settings: Settings,
    shards: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Shards of each table; by default two for each node."),
    ] = None,
) -> None:
    """Spread the database over the nodes of its Citus cluster."""
    from devtelemetry.cli.work import cluster

    if shards is not None and not 1 <= shards <= _MOST_SHARDS:
        raise BadOption(f"--shards: {shards}; allowed: 1 to {_MOST_SHARDS}")
    run(cluster.spread_tables(settings, shards))
