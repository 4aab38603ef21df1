"""What is wrong in how apps report."""

from devtelemetry.store.migrate import execute_beside

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    execute_beside(__file__)
