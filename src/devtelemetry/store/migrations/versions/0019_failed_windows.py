"""Windows that could not be computed."""

from devtelemetry.store.migrate import execute_beside

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    execute_beside(__file__)
