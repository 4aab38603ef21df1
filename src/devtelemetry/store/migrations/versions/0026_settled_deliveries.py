"""Counts that never fall, of what is settled."""

from devtelemetry.store.migrate import execute_beside

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    execute_beside(__file__)
