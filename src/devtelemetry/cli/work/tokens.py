"""Makes, lists and revokes tokens."""

from rich.console import Console

from devtelemetry.cli.output import say, tell
from devtelemetry.figures.document import iso
from devtelemetry.runtime.clock import utc_now
from devtelemetry.server.wiring import opened_database
from devtelemetry.settings.settings import Settings
from devtelemetry.store.tokens import Scope, create_token, list_tokens, revoke_token
from devtelemetry.words.tables import bare_table


async def create(settings: Settings, name: str, scope: str) -> None:
    async with opened_database(settings) as database:
        token = await create_token(database, name, Scope(scope), now=utc_now())
    say(token)
    tell("Keep the token: only its hash is stored, so it cannot be shown again.")


async def show(settings: Settings) -> None:
    async with opened_database(settings) as database:
        tokens = await list_tokens(database)
    if not tokens:
        tell("There are no tokens; `devtelemetry token create NAME` makes one.")
        return
    table = bare_table(gap=3)
    for title in ("name", "scope", "created", "state"):
        table.add_column(title, overflow="fold")
    for token in tokens:
        state = "valid" if token.revoked_at is None else f"revoked {iso(token.revoked_at)}"
        table.add_row(token.name, token.scope.value, iso(token.created_at), state)
    Console(highlight=False).print(table)


async def revoke(settings: Settings, name: str) -> None:
    async with opened_database(settings) as database:
        await revoke_token(database, name, now=utc_now())
    say(f"revoked {name}")
