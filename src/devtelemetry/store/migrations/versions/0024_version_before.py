"""The version that a receiver had before, for comparisons of releases."""

from devtelemetry.store.migrate import execute_beside

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    execute_beside(__file__)
