"""Platform and version are each as of when they were said last, in whatever order reports come."""

from devtelemetry.store.migrate import execute_beside

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    execute_beside(__file__)
