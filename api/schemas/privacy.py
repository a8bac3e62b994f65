"""Personal data: export, erasure, consents."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from api.privacy.consents import Purpose
from api.schemas.values import Given, HashText, Instant, Listed, Shown


class PersonalData(Shown):
    """Everything that is kept of a person."""

    data: dict[str, Any]


class Erased(Shown):
    """What was erased, by kind; ids, amounts, times, states and hashes stand."""

    counts: dict[str, int]


class ConsentGiven(Given):
    """A consent to one purpose."""

    purpose: Annotated[
        Purpose, BeforeValidator(lambda value: Purpose(value) if isinstance(value, str) else value)
    ]
    text_hash: HashText = Field(description="SHA-256 of the words that were shown")


class ConsentShown(Shown):
    """A consent."""

    id: str
    purpose: str
    text_hash: HashText
    given_at: Instant
    withdrawn_at: Instant | None


class ConsentList(Listed):
    """A person's consents, the first first."""

    data: list[ConsentShown]
