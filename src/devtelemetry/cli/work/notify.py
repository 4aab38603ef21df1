"""Sends a trial to everyone who is told of problems."""

import contextlib

from devtelemetry.cli.output import say
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.notify.message import trial
from devtelemetry.notify.targets import Target
from devtelemetry.publish.answer import StoreAway
from devtelemetry.server import wiring
from devtelemetry.settings.settings import Settings


async def notify(settings: Settings) -> bool:
    """Prints for each target whether it took the message; returns whether all did."""
    webhook, services = wiring.webhook(settings), wiring.services(settings)
    if webhook is None and services is None:
        raise ConfigurationError(
            "notify_webhook_url, notify_apprise: neither is set; allowed: at least one of them"
        )
    all_took = True
    async with contextlib.AsyncExitStack() as stack:
        targets: list[Target] = []
        if webhook is not None:
            targets.append(await stack.enter_async_context(webhook))
        if services is not None:
            try:
                targets += await services.read()
            except StoreAway as error:
                all_took = False
                say(f"apprise: {error}")
        for target in targets:
            try:
                await target.tell(trial(settings.public_url))
                say(f"{target.way}: {target.said} accepted it")
            except StoreAway as error:
                all_took = False
                say(f"{target.way}: {error}")
    return all_took
