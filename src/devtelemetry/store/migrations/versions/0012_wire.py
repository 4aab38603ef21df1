"""Which server an app talks to, and which reports an installation says it lost."""

from devtelemetry.store.migrate import execute_beside

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    execute_beside(__file__)
