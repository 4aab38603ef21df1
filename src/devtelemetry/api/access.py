"""Who may read figures by HTTP."""

from dataclasses import dataclass

from devtelemetry.runtime.hosts import KnownHosts


@dataclass(frozen=True, slots=True)
class Access:
    """asks_for_token  whether who reads has to show a token of scope `read`
    hosts           by which names the server may be asked
    """

    asks_for_token: bool
    hosts: KnownHosts
