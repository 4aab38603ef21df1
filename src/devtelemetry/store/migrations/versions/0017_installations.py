"""Whom to believe: which installations others confirm, and from which network each reports."""

from devtelemetry.store.migrate import execute_beside

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    execute_beside(__file__)
