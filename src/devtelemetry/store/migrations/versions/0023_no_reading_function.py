"""Authors' clocks are read by a statement: no function reads a table any more."""

from devtelemetry.store.migrate import execute_beside

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    execute_beside(__file__)
