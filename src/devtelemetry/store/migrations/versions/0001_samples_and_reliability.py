"""Samples, what is known of receivers and channels, windows, tokens."""

from devtelemetry.store.migrate import execute_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    execute_beside(__file__)
