"""Calls Apprise, in a process of its own: `python -m devtelemetry.notify.services`.

If a service hangs, the process is ended. And what Apprise loads is not in the server's memory.
The process reads one JSON object: `file`, and to send a message also `to`, `title`, `body`, `kind`.
It writes one object: `services` with the id and name of each service, or `is_taken`.
"""

import json
import logging
import sys
from typing import Any


def main() -> None:
    """Apprise must not log anything, because its lines may have URLs, which are secrets."""
    logging.disable()
    asked = json.load(sys.stdin)
    found = _services(asked["file"])
    if "to" in asked:
        service = found.get(asked["to"])
        answer: dict[str, Any] = {"is_taken": service is not None and _send(service, asked)}
    else:
        answer = {
            "services": [
                {"id": name, "name": str(service.service_name)} for name, service in found.items()
            ]
        }
    # On a line of its own, because a service may have printed something before.
    sys.stdout.write(f"\n{json.dumps(answer)}\n")


def _services(file: str) -> dict[str, Any]:
    """The services in the file, by an id that does not reveal the URL."""
    import apprise  # noqa: PLC0415 - an extra that only this process needs

    asset = apprise.AppriseAsset(app_id="Dev-Telemetry", app_desc="Dev-Telemetry", app_url="")
    config = apprise.AppriseConfig(asset=asset)
    config.add(file)
    every: Any = apprise.Apprise(asset=asset)
    every.add(config)
    found: dict[str, Any] = {}
    for service in every:
        name = same = str(service.url_id())
        number = 1
        while name in found:
            number += 1
            name = f"{same}-{number}"
        found[name] = service
    return found


def _send(service: Any, asked: dict[str, str]) -> bool:
    import apprise  # noqa: PLC0415 - likewise

    service.overflow_mode = apprise.OverflowMode.SPLIT
    to = apprise.Apprise()
    to.add(service)
    return bool(
        to.notify(
            title=asked["title"],
            body=asked["body"],
            notify_type=asked["kind"],
            body_format=apprise.NotifyFormat.TEXT,
        )
    )


if __name__ == "__main__":
    main()
