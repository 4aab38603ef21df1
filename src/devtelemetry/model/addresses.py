"""Where a server listens."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listen:
    """Port 0 means any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
