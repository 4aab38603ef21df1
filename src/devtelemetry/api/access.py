"""Who may read figures by HTTP."""

from dataclasses import dataclass

from devtelemetry.runtime.hosts import KnownHosts


@dataclass(frozen=True, slots=True)
class Access:
    """asks_for_token  whether a reader must send a token of scope `read`
    hosts           the host names that requests may use
    """

    asks_for_token: bool
    hosts: KnownHosts
