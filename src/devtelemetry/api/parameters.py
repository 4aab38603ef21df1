"""What the routes of the API have in common."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from devtelemetry.model import parse_moment, parse_timeframe


class Strict(BaseModel):
    """Allows no other fields than its own."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    detail: str = Field(description="One line that says what is wrong and what to do.")


def _timeframe(text: str) -> str:
    return parse_timeframe(text).name


TimeframeName = Annotated[str, BeforeValidator(_timeframe)]
Moment = Annotated[datetime, BeforeValidator(parse_moment)]
