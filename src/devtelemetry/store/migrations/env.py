"""How Alembic reaches the database: by asyncpg, with the URL that `migrate` was given."""

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from devtelemetry.store.driver import connect


def _run(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


async def _main() -> None:
    url = context.config.attributes["url"]

    async def connected(*_: Any, **__: Any) -> Any:
        return await connect(url)

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connected, poolclass=pool.NullPool
    )
    async with engine.connect() as connection:
        await connection.run_sync(_run)
        await connection.commit()
    await engine.dispose()


asyncio.run(_main())
