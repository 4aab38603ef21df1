"""All that receivers said of joining and leaving is kept, and tells their stays."""

from devtelemetry.store.migrate import execute_beside

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    execute_beside(__file__)
