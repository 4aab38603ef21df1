"""`settings`."""

import sys

from devtelemetry.settings.table import settings_table


def settings() -> None:
    """Print the table of all settings, as Markdown."""
    sys.stdout.write(settings_table())
