"""What figures rest on, and what they are broken down by."""

from devtelemetry.store.migrate import execute_beside

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    execute_beside(__file__)
