"""Counts that never fall, of what is settled."""

from devtelemetry.store.migrate import execute_beside

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    execute_beside(__file__)
