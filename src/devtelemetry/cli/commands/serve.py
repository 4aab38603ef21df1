"""`serve`."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator

from devtelemetry.cli.options import EVERYWHERE, with_settings
from devtelemetry.settings.settings import Settings

_SERVER = tuple(name for name in Settings.model_fields if name not in EVERYWHERE)


@with_settings(*_SERVER, runs_for_long=True)
def serve(settings: Settings) -> None:
    """Run the server: it takes samples, computes windows, cleans, and shows the figures."""
    with shared_metrics(settings.workers):
        from devtelemetry.server.serve import serve

        asyncio.run(serve(settings))


@contextlib.contextmanager
def shared_metrics(processes: int) -> Iterator[None]:
    """Makes a directory in which the processes of one server keep their metrics, so that a scrape
    shows the sums.

    The variable is metrics.SHARED_DIRECTORY. It must be set before that module is imported.
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
