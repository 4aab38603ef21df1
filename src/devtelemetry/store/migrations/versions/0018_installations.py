"""Whom to believe: which installations others confirm, and from which network each reports."""

from devtelemetry.store.migrate import execute_beside

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    execute_beside(__file__)
