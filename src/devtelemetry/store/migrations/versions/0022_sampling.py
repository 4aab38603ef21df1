"""A sample of the messages."""

from devtelemetry.store.migrate import execute_beside

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    execute_beside(__file__)
