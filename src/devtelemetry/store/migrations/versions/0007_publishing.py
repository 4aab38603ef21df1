"""Which windows were delivered to a store of time series."""

from devtelemetry.store.migrate import execute_beside

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    execute_beside(__file__)
