"""Who calls, what he is allowed, and what he may see; deny by default, in this one place.

A caller is a program with an API key or a person with a browser session (``api.identity``); routes and
pages make no difference. An API key belongs to one party and is had by that party's own signature
(``ApiKeyRequest``). What a caller may not see answers like what is not there.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import sqlmodel
from sqlmodel import Session, col

from api.errors import ApiError, ForbiddenScopeError, UnauthenticatedError
from api.key_request import ApiKeyRequest
from api.key_request import Scope as Scope  # noqa: PLC0414  callers look for it here
from api.tables import ApiKeyRow
from chain.clock import Clock
from chain.errors import InvalidValueError, NotFoundError, SignatureRefusedError
from chain.ids import Address, PartyId
from chain.ports import Domain
from chain.typed_data import recover, typed_digest

SKEW = dt.timedelta(minutes=5)
"""How far a signed request for a key may lie from our clock."""

TOKEN = re.compile(r"yk_(test|live)_([0-9a-f]{16})_([0-9a-f]{64})")


class WrongModeError(UnauthenticatedError):
    """A test key was sent to a live system, or a live key to a test system."""

    code = "wrong_mode"


class KeyRefusedError(ApiError):
    """The request for an API key is refused."""

    code = "key_refused"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: a program with an API key, or a person with a session.

    Attributes:
        name: stable name of the caller for kept answers and logs: id of the key or of the member.
        party_id: the party that he speaks for; None for an observer, and until a party has a key.
        scopes: what his key or his role allows.
        sees_all: True for the observer of a demo alone.
        org_id: organisation of a person; "" for a program.
        account_id: the person; "" for a program.
        session_id: his browser session; "" for a program.
        role: a person's role (``api.identity.roles``); "" for a program.
        proved_at: when a person last showed who he is.
    """

    name: str
    party_id: PartyId | None
    scopes: frozenset[Scope]
    sees_all: bool = False
    org_id: str = ""
    account_id: str = ""
    session_id: str = ""
    role: str = ""
    proved_at: dt.datetime | None = None

    @property
    def is_person(self) -> bool:
        """Whether a person with a session calls."""
        return self.session_id != ""

    def require_person(self) -> str:
        """The account of the person who calls.

        Raises:
            ForbiddenScopeError: a program calls.
        """
        if not self.is_person:
            raise ForbiddenScopeError("only a person who has signed in may do this")
        return self.account_id

    def require(self, scope: Scope) -> None:
        """Passes a caller whose key or role has the scope.

        Raises:
            ForbiddenScopeError: it has not.
        """
        if scope not in self.scopes:
            raise ForbiddenScopeError(
                f"this caller lacks the scope {scope.value}",
                scope=scope.value,
                granted=sorted(s.value for s in self.scopes),
            )

    def may_see(self, parties: Collection[PartyId]) -> bool:
        """Whether the caller is one of the parties that an object concerns."""
        return self.sees_all or (self.party_id is not None and self.party_id in parties)

    def require_sight(self, parties: Collection[PartyId], what: str) -> None:
        """Passes a caller who may see an object.

        Raises:
            NotFoundError: he may not; said as if the object did not exist.
        """
        if not self.may_see(parties):
            raise NotFoundError(f"there is no such {what}")

    def require_self(self) -> PartyId:
        """The party this caller speaks for.

        Raises:
            ForbiddenScopeError: he only looks.
        """
        if self.party_id is None:
            raise ForbiddenScopeError("this caller speaks for no party")
        return self.party_id

    def require_party(self, party: PartyId, field: str) -> None:
        """Passes a caller who speaks for a party.

        Raises:
            InvalidValueError: his key belongs to another party.
        """
        if self.party_id != party:
            raise InvalidValueError(
                f"{field} must be the party of this API key", field=field, given=str(party)
            )


def read_scopes(text: str) -> frozenset[Scope]:
    """Scopes from their words.

    Raises:
        KeyRefusedError: one is unknown, or there is none.
    """
    named = text.split()
    unknown = sorted(set(named) - {scope.value for scope in Scope})
    if unknown or not named:
        raise KeyRefusedError(
            "scopes are words of the list, separated by one space",
            field="scopes",
            unknown=unknown,
            allowed=[scope.value for scope in Scope],
        )
    return frozenset(Scope(word) for word in named)


def check_key_request(
    form: ApiKeyRequest, signature: bytes, *, domain: Domain, key: Address | None, now: dt.datetime
) -> frozenset[Scope]:
    """The scopes that a signed request for a key may be given.

    Args:
        form: what was signed.
        signature: 65 bytes.
        domain: PartyRegistry's domain.
        key: the party's present key, None where it has none.
        now: the present.

    Raises:
        KeyRefusedError: unknown scope, bad label, or signed too long ago or ahead.
        SignatureRefusedError: not by the party's present key.
    """
    scopes = read_scopes(form.scopes)
    if not (1 <= len(form.label) <= 80 and form.label.isprintable()):
        raise KeyRefusedError("a label has 1 to 80 printable characters", field="label")
    if abs(int(now.timestamp()) - form.issued_at) > SKEW.total_seconds():
        raise KeyRefusedError(
            "issued_at must lie within five minutes of the server's clock (GET /v1/health tells it)",
            field="issued_at",
            server_time=int(now.timestamp()),
        )
    signer = recover(form, domain, signature)
    if key is None or signer != key:
        raise SignatureRefusedError(
            "the signature is not by the party's present key", field="signature", signer=signer
        )
    return scopes


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret."""

    key_id: str
    party: PartyId
    scopes: tuple[Scope, ...]
    label: str
    created_at: dt.datetime
    revoked_at: dt.datetime | None
    allowed_from: tuple[str, ...] = ()
    expires_at: dt.datetime | None = None


def read_networks(given: Iterable[str]) -> tuple[str, ...]:
    """Networks (or single addresses) in their one form.

    Raises:
        InvalidValueError: names the one that is none.
    """
    found = []
    for at, text in enumerate(given):
        try:
            found.append(str(ipaddress.ip_network(text)))
        except ValueError as error:
            raise InvalidValueError(
                "an address or a network such as 203.0.113.0/24", field=f"allowed_from[{at}]"
            ) from error
    return tuple(found)


def _may_come_from(allowed: str, place: str) -> bool:
    if not allowed:
        return True
    try:
        address = ipaddress.ip_address(place)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in allowed.split())


class ApiKeys:
    """The API keys in one database session.

    Args:
        session: the transaction.
        clock: for dates of keys.
        mode: ``test`` or ``live``; it stands in every key, and a key of the other mode is told so.
    """

    def __init__(self, session: Session, clock: Clock, mode: str = "test") -> None:
        self._session = session
        self._clock = clock
        self._mode = mode

    def open(
        self,
        form: ApiKeyRequest,
        domain: Domain,
        scopes: Iterable[Scope],
        *,
        allowed_from: Iterable[str] = (),
        expires_at: dt.datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key for a checked request, and its token, which is never seen again.

        Args:
            form: what was signed.
            domain: it was signed under.
            scopes: what the key allows.
            allowed_from: networks it may be used from; all if empty.
            expires_at: when it ends by itself; never if None.

        Raises:
            KeyRefusedError: this very request has opened a key before.
        """
        proof = hashlib.sha256(typed_digest(form, domain)).hexdigest()
        used = sqlmodel.select(ApiKeyRow).where(col(ApiKeyRow.proof_hash) == proof)
        if self._session.exec(used).first() is not None:
            raise KeyRefusedError("this request was used; sign one with a new salt", field="salt")
        return self._add(
            party=form.party, label=form.label, proof=proof, scopes=scopes,
            allowed_from=allowed_from, expires_at=expires_at,
        )  # fmt: skip

    def open_for(
        self,
        caller: Caller,
        label: str,
        scopes: Iterable[Scope],
        *,
        allowed_from: Iterable[str] = (),
        expires_at: dt.datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key by the word of a person who may give it, with no more scopes than he has.

        Raises:
            ForbiddenScopeError: he lacks one of them, or speaks for no party.
        """
        wanted = list(scopes)
        for scope in wanted:
            caller.require(scope)
        proof = hashlib.sha256(secrets.token_bytes(32)).hexdigest()  # there is no request to repeat
        return self._add(
            party=caller.require_self(), label=label, proof=proof, scopes=wanted,
            allowed_from=allowed_from, expires_at=expires_at,
        )  # fmt: skip

    def _add(
        self,
        *,
        party: PartyId,
        label: str,
        proof: str,
        scopes: Iterable[Scope],
        allowed_from: Iterable[str],
        expires_at: dt.datetime | None,
    ) -> tuple[ApiKey, str]:
        key_id, secret = secrets.token_hex(8), secrets.token_hex(32)
        row = ApiKeyRow(
            key_id=key_id,
            party_id=str(party),
            secret_hash=hashlib.sha256(secret.encode()).hexdigest(),
            scopes=" ".join(sorted(scope.value for scope in scopes)),
            label=label,
            proof_hash=proof,
            allowed_from=" ".join(read_networks(allowed_from)),
            created_at=self._clock.now(),
            expires_at=expires_at,
        )
        self._session.add(row)
        self._session.flush()
        return _key(row), f"yk_{self._mode}_{key_id}_{secret}"

    def allow_from(self, key_id: str, party: PartyId, networks: Iterable[str]) -> ApiKey:
        """Other networks for a key.

        Raises:
            NotFoundError: the party has no such key.
            InvalidValueError: one of them is none.
        """
        row = self._session.get(ApiKeyRow, key_id)
        if row is None or row.party_id != str(party):
            raise NotFoundError("there is no such API key", field="key_id")
        row.allowed_from = " ".join(read_networks(networks))
        self._session.add(row)
        self._session.flush()
        return _key(row)

    def authenticate(self, token: str, place: str = "") -> Caller:
        """The caller whose token this is.

        Args:
            token: as sent.
            place: the address it came from.

        Raises:
            WrongModeError: a test key in a live system, or the other way round.
            UnauthenticatedError: malformed, unknown, revoked, expired, or from a place that it may not
                come from; the answer does not say which.
        """
        match = TOKEN.fullmatch(token)
        if match and match[1] != self._mode:
            raise WrongModeError(
                f"a {match[1]} key opens nothing here: this system is {self._mode}"
            )
        row = self._session.get(ApiKeyRow, match[2]) if match else None
        given = hashlib.sha256(match[3].encode()).hexdigest() if match else "0" * 64
        # Compared even where there is no such key, so that the time taken tells nothing.
        same = hmac.compare_digest(given, row.secret_hash if row else "1" * 64)
        if row is None or not same or row.revoked_at is not None:
            raise UnauthenticatedError("the API key is unknown or revoked")
        over = row.expires_at is not None and self._clock.now() >= row.expires_at
        if over or not _may_come_from(row.allowed_from, place):
            raise UnauthenticatedError("the API key is unknown or revoked")
        return Caller(
            name=row.key_id,
            party_id=PartyId(int(row.party_id)),
            scopes=frozenset(Scope(word) for word in row.scopes.split()),
        )

    def list_of(self, party: PartyId) -> list[ApiKey]:
        """Every key a party ever had, newest first."""
        query = sqlmodel.select(ApiKeyRow).where(col(ApiKeyRow.party_id) == str(party))
        newest = col(ApiKeyRow.created_at).desc()
        ordered = query.order_by(newest, col(ApiKeyRow.key_id))
        return [_key(row) for row in self._session.exec(ordered)]

    def revoke(self, key_id: str, party: PartyId) -> ApiKey:
        """Takes a key out of use, at once and for ever; twice is once.

        Raises:
            NotFoundError: the party has no such key.
        """
        row = self._session.get(ApiKeyRow, key_id)
        if row is None or row.party_id != str(party):
            raise NotFoundError("there is no such API key", field="key_id")
        if row.revoked_at is None:
            row.revoked_at = self._clock.now()
            self._session.add(row)
            self._session.flush()
        return _key(row)


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        key_id=row.key_id,
        party=PartyId(int(row.party_id)),
        scopes=tuple(Scope(word) for word in row.scopes.split()),
        label=row.label,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        allowed_from=tuple(row.allowed_from.split()),
        expires_at=row.expires_at,
    )
