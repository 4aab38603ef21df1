"""How late each receipt is, and whose clocks are off."""

from devtelemetry.store.migrate import execute_beside

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    execute_beside(__file__)
