"""Receivers of a party's events, and their signing secrets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
import sqlmodel
from sqlmodel import Session, col

from api.errors import ApiError
from api.object_ids import new_id
from api.tables import WebhookDeliveryRow, WebhookEndpointRow, WebhookSecretRow
from api.webhooks.happenings import TYPES
from api.webhooks.secrets import Sealer, SecretReusedError, new_secret
from chain.clock import Clock
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import PartyId

MOST_OF_A_PARTY = 20
"""Receivers of one party."""

OLD_SECRET_SIGNS = dt.timedelta(hours=24)
"""How long a secret still signs beside the one that took its place."""


class TooManyEndpointsError(ApiError):
    """A party has at most so many receivers; delete one first."""

    code = "too_many_webhook_endpoints"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A receiver.

    Attributes:
        types: what it is told: names, ``noun.*`` or ``*``.
        state: enabled or disabled; ``why`` says who disabled it where it was not its owner.
    """

    id: str
    party: PartyId
    url: str
    types: tuple[str, ...]
    description: str
    state: str
    why: str
    created_at: dt.datetime
    changed_at: dt.datetime


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A secret and until when it signs; None for the present one."""

    secret: str
    retires_at: dt.datetime | None


def check_types(types: Sequence[str]) -> tuple[str, ...]:
    """The types of a subscription, each once and in order.

    Raises:
        InvalidValueError: one is unknown.
    """
    nouns = {one.partition(".")[0] for one in TYPES}
    allowed = {"*", *TYPES, *(f"{noun}.*" for noun in nouns)}
    unknown = sorted(set(types) - allowed)
    if unknown:
        raise InvalidValueError(
            f"there is no event {unknown[0]!r}; GET /v1/event_types lists them",
            field="types",
            unknown=unknown[:10],
        )
    return tuple(sorted(set(types)))


class Endpoints:
    """The receivers in one database session."""

    def __init__(self, session: Session, clock: Clock, sealer: Sealer) -> None:
        self._session = session
        self._clock = clock
        self._sealer = sealer

    def create(
        self, party: PartyId, url: str, types: Sequence[str], *, description: str, secret: str = ""
    ) -> Endpoint:
        """A new receiver with a signing secret of its own.

        Args:
            party: whose events it is told.
            url: checked by the caller (``addresses.find_destination``).
            types: what it is told.
            description: what people call it.
            secret: brought along; made here if empty.

        Raises:
            SecretReusedError: the secret signs for another receiver, or did.
            TooManyEndpointsError: the party has ``MOST_OF_A_PARTY``.
        """
        live = sqlmodel.select(sa.func.count()).where(
            col(WebhookEndpointRow.party_id) == str(party),
            col(WebhookEndpointRow.state) != "deleted",
        )
        if self._session.exec(live).one() >= MOST_OF_A_PARTY:
            raise TooManyEndpointsError(f"a party has at most {MOST_OF_A_PARTY} receivers")
        now = self._clock.now()
        row = WebhookEndpointRow(
            endpoint_id=new_id("webhook_endpoint"),
            party_id=str(party),
            url=url,
            types=" ".join(check_types(types)),
            description=description,
            state="enabled",
            created_at=now,
            changed_at=now,
        )
        self._session.add(row)
        self._session.flush()
        self._add_secret(row.endpoint_id, secret or new_secret())
        return _endpoint(row)

    def change(
        self,
        endpoint: str,
        party: PartyId,
        *,
        url: str | None = None,
        types: Sequence[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Endpoint:
        """Changes what is given; enabling again sends what has waited.

        Raises:
            NotFoundError: the party has no such receiver.
        """
        row = self._row(endpoint, party)
        if url is not None:
            row.url = url
        if types is not None:
            row.types = " ".join(check_types(types))
        if description is not None:
            row.description = description
        if enabled is not None:
            row.state, row.why = ("enabled" if enabled else "disabled"), ""
        row.changed_at = self._clock.now()
        self._session.add(row)
        self._session.flush()
        return _endpoint(row)

    def disable(self, endpoint: str, why: str) -> None:
        """Takes a receiver out of use because of what it answered."""
        row = self._session.exec(
            sqlmodel.select(WebhookEndpointRow).where(
                col(WebhookEndpointRow.endpoint_id) == endpoint
            )
        ).first()
        if row is not None and row.state == "enabled":
            row.state, row.why, row.changed_at = "disabled", why, self._clock.now()
            self._session.add(row)
            self._session.flush()

    def delete(self, endpoint: str, party: PartyId) -> Endpoint:
        """Ends a receiver for ever; what waits for it is given up, its log stays.

        Raises:
            NotFoundError: the party has no such receiver.
        """
        row = self._row(endpoint, party)
        now = self._clock.now()
        row.state, row.changed_at = "deleted", now
        self._session.add(row)
        self._session.execute(
            sa.update(WebhookDeliveryRow)
            .where(
                col(WebhookDeliveryRow.endpoint_id) == endpoint,
                col(WebhookDeliveryRow.state) == "pending",
            )
            .values(state="given_up", settled_at=now, last_error="the receiver was deleted")
        )
        self._session.flush()
        return _endpoint(row)

    def get(self, endpoint: str, party: PartyId) -> Endpoint:
        """A receiver of a party.

        Raises:
            NotFoundError: the party has no such receiver.
        """
        return _endpoint(self._row(endpoint, party))

    def list_of(self, party: PartyId) -> list[Endpoint]:
        """Every receiver of a party, oldest first."""
        query = (
            sqlmodel.select(WebhookEndpointRow)
            .where(
                col(WebhookEndpointRow.party_id) == str(party),
                col(WebhookEndpointRow.state) != "deleted",
            )
            .order_by(col(WebhookEndpointRow.number))
        )
        return [_endpoint(row) for row in self._session.exec(query)]

    def rotate(
        self, endpoint: str, party: PartyId, *, secret: str = "", old_for: dt.timedelta
    ) -> Endpoint:
        """Gives a receiver a new secret; the old one signs beside it for a while, one older than that no more.

        Raises:
            NotFoundError: the party has no such receiver.
            SecretReusedError: the secret was used before.
        """
        row = self._row(endpoint, party)
        now = self._clock.now()
        for old in self._secret_rows(endpoint):
            if old.retires_at is None:
                old.retires_at = now + old_for
            else:
                old.retires_at = min(old.retires_at, now)
            self._session.add(old)
        self._add_secret(endpoint, secret or new_secret())
        row.changed_at = now
        self._session.add(row)
        self._session.flush()
        return _endpoint(row)

    def secrets_of(self, endpoint: str) -> list[SigningSecret]:
        """The secrets that sign now, the newest first."""
        now = self._clock.now()
        return [
            SigningSecret(self._sealer.open(row.sealed, endpoint), row.retires_at)
            for row in self._secret_rows(endpoint)
            if row.retires_at is None or row.retires_at > now
        ]

    def _secret_rows(self, endpoint: str) -> list[WebhookSecretRow]:
        newest = col(WebhookSecretRow.created_at).desc()
        query = sqlmodel.select(WebhookSecretRow).where(
            col(WebhookSecretRow.endpoint_id) == endpoint
        )
        rows = self._session.exec(query.order_by(newest)).all()
        return sorted(rows, key=lambda row: row.retires_at is not None)

    def _add_secret(self, endpoint: str, secret: str) -> None:
        fingerprint = self._sealer.fingerprint(secret)
        if self._session.get(WebhookSecretRow, fingerprint) is not None:
            raise SecretReusedError(field="secret")
        self._session.add(
            WebhookSecretRow(
                fingerprint=fingerprint,
                endpoint_id=endpoint,
                sealed=self._sealer.seal(secret, endpoint),
                created_at=self._clock.now(),
            )
        )
        self._session.flush()

    def _row(self, endpoint: str, party: PartyId) -> WebhookEndpointRow:
        row = self._session.exec(
            sqlmodel.select(WebhookEndpointRow).where(
                col(WebhookEndpointRow.endpoint_id) == endpoint,
                col(WebhookEndpointRow.party_id) == str(party),
                col(WebhookEndpointRow.state) != "deleted",
            )
        ).first()
        if row is None:
            raise NotFoundError("there is no such webhook endpoint")
        return row


def _endpoint(row: WebhookEndpointRow) -> Endpoint:
    return Endpoint(
        id=row.endpoint_id,
        party=PartyId(int(row.party_id)),
        url=row.url,
        types=tuple(row.types.split()),
        description=row.description,
        state=row.state,
        why=row.why,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )
