"""When a server was last here, and what clients say of the time while that is in doubt."""

from devtelemetry.store.migrate import execute_beside

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    execute_beside(__file__)
