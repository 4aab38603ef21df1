"""Who opted out, and who is being forgotten."""

from devtelemetry.store.migrate import execute_beside

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    execute_beside(__file__)
