"""Messages and receipts in fewer bytes: times as offsets, ids as bytes, and no NULL."""

from devtelemetry.store.migrate import execute_beside

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    execute_beside(__file__)
