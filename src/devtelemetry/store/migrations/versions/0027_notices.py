"""What is to be told to people of problems."""

from devtelemetry.store.migrate import execute_beside

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    execute_beside(__file__)
