"""What became of a message, how it came, whose clock dates it, and why it is missing."""

from devtelemetry.store.migrate import execute_beside

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    execute_beside(__file__)
