"""What status-go clients report beside samples and envelopes is kept no more: nothing read it."""

from devtelemetry.store.migrate import execute_beside

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    execute_beside(__file__)
