"""Names that go."""

from devtelemetry.store.migrate import execute_beside

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    execute_beside(__file__)
