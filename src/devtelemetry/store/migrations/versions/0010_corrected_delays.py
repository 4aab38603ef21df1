"""Delays are corrected by their author's clock once, where they are stored."""

from devtelemetry.store.migrate import execute_beside

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    execute_beside(__file__)
