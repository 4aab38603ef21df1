"""Which numbers of each installation's reports arrived."""

from devtelemetry.store.migrate import execute_beside

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    execute_beside(__file__)
