"""When a receiver says that it was in a channel."""

from devtelemetry.store.migrate import execute_beside

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    execute_beside(__file__)
