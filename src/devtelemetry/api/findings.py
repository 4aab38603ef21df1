"""`/api/v1/findings`: docs/protocol.md, "Findings as JSON"."""

from datetime import datetime
from typing import Any

from fastapi import FastAPI
from pydantic import Field

from devtelemetry.api.parameters import Problem, Strict
from devtelemetry.findings.kinds import Kind
from devtelemetry.findings.read import findings_as_json, read_findings
from devtelemetry.store.database import Database


class FindingFigures(Strict):
    """A fault in how the apps of one platform and version report."""

    kind: Kind
    platform: str = Field(description="The platform of the app; empty if not reported.")
    app_version: str = Field(description="The version of the app; empty if not reported.")
    channel_id: str | None = Field(
        description="The channel that shows it most, as clients name it; null if the finding is "
        "not about channels."
    )
    what: str = Field(description="A sentence or two for a person.")
    evidence: dict[str, int] = Field(description="The counts in `what`.")
    remedy: str = Field(description="What to do in the app.")
    see: str = Field(description="The page of the documentation that says more.")
    found_first: datetime = Field(description="Since when every look has found it.")
    found_until: datetime = Field(description="The end of the day that was looked at last.")


class FindingsDocument(Strict):
    """The findings of the latest look, sorted by kind, platform and version."""

    findings: list[FindingFigures]


def add_findings(app: FastAPI, database: Database, may_read: list[Any]) -> None:
    @app.get(
        "/api/v1/findings",
        summary="Faults in how apps report",
        tags=["figures"],
        response_model=FindingsDocument,
        responses={401: {"model": Problem}, 503: {"model": Problem}},
        dependencies=may_read,
    )
    async def findings() -> dict[str, Any]:
        """The server looks for findings in the samples of a day, after windows were computed.
        Figures are only as good as the reports of apps. `docs/messengers.md` explains how each kind
        of finding affects them.
        """
        return {"findings": findings_as_json(await read_findings(database))}
