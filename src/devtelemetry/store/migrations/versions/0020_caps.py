"""How much installations bring."""

from devtelemetry.store.migrate import execute_beside

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    execute_beside(__file__)
