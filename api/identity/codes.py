"""One-time codes to a phone: six digits, five minutes, five tries, and few of them."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import httpx2
import phonenumbers
import sqlalchemy as sa
from sqlmodel import Session, col, select

from api.identity.errors import CodeRefusedError, NoSenderError, ShutDoorError, SmsFailedError
from api.identity.people import new_id
from api.identity.tables import AccountRow, PhoneCodeRow
from chain.clock import Clock, rfc3339
from chain.errors import InvalidValueError
from chain.sealing import Keyring

LIVES = dt.timedelta(minutes=5)
MOST_TRIES = 5
LIMITS = ((dt.timedelta(minutes=1), 1), (dt.timedelta(hours=1), 5), (dt.timedelta(days=1), 10))
"""How many codes one phone gets within a time."""

GATEWAY_S = 5.0
"""How long the gateway for short messages may take."""

MOST_FROM_ONE_PLACE = 30
"""Codes asked for from one address within an hour."""


class CodePurpose(StrEnum):
    """What a code opens; a code for one thing opens no other."""

    SIGN_IN = "sign_in"
    PHONE = "phone"
    RECEIPT = "receipt"


class CodeSender(Protocol):
    """Sends a text to a phone."""

    def send(self, phone: str, text: str) -> None:
        """Sends it, or raises."""
        ...


class SandboxSender:
    """Writes what would be sent into a file of the run. For demos and tests alone.

    Args:
        file: one JSON object a line.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def send(self, phone: str, text: str) -> None:
        """Appends the message."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.touch(0o600)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"phone": phone, "text": text}, ensure_ascii=False) + "\n")


class HttpSender:
    """Hands a text to the operator's own gateway for short messages: JSON ``{"phone", "text"}`` by POST.

    Args:
        url: where to; anything of 2xx means that the gateway has taken it.
        token: shown to it as ``Authorization: Bearer``.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def send(self, phone: str, text: str) -> None:
        """Hands it over, within a few seconds.

        Raises:
            SmsFailedError: the gateway is away, slow, or refuses.
        """
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        body = {"phone": phone, "text": text}
        try:
            answer = httpx2.post(self._url, json=body, headers=headers, timeout=GATEWAY_S)
        except httpx2.HTTPError:
            raise SmsFailedError from None  # its words may hold the address, and that the token
        if not answer.is_success:
            raise SmsFailedError(status=answer.status_code)


class NoSender:
    """A system that was not told how to send."""

    def send(self, phone: str, text: str) -> None:  # noqa: ARG002  the port's shape
        """Refuses.

        Raises:
            NoSenderError: always.
        """
        raise NoSenderError


def plain_phone(text: str) -> str:
    """A phone number in the one form that is compared (E.164); without a prefix it is Chinese.

    Raises:
        InvalidValueError: it is no phone number.
    """
    try:
        number = phonenumbers.parse(text, "CN")
    except phonenumbers.NumberParseException as error:
        raise InvalidValueError("this is no phone number", field="phone") from error
    if not phonenumbers.is_possible_number(number):
        raise InvalidValueError("this is no phone number", field="phone")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


class Codes:
    """One-time codes in one database session that writes."""

    def __init__(
        self, session: Session, clock: Clock, keyring: Keyring, sender: CodeSender
    ) -> None:
        self._session = session
        self._clock = clock
        self._keyring = keyring
        self._sender = sender

    def ask(self, phone: str, purpose: CodePurpose, *, place: str, about: str = "") -> str:
        """Sends a code; the id under which it is answered.

        For sign-in a phone that nobody has gets none, and the answer does not tell.

        Raises:
            ShutDoorError: too many codes for this phone or from this place.
            InvalidValueError: no phone number.
            NoSenderError: nothing to send with.
        """
        number, now = plain_phone(phone), self._clock.now()
        phone_hash = self._keyring.blind("phone", number)
        place_hash = self._keyring.blind("place", place)
        for span, most in LIMITS:
            if self._count(col(PhoneCodeRow.phone_hash) == phone_hash, now - span) >= most:
                raise ShutDoorError(
                    f"a phone gets {most} codes within {span}; wait", until=rfc3339(now + span)
                )
        hour = dt.timedelta(hours=1)
        if self._count(col(PhoneCodeRow.place_hash) == place_hash, now - hour) >= (
            MOST_FROM_ONE_PLACE
        ):
            raise ShutDoorError("too many codes from this place", until=rfc3339(now + hour))
        code = f"{secrets.randbelow(10**6):06d}"
        row = PhoneCodeRow(
            code_id=new_id("cod"),
            phone_hash=phone_hash,
            place_hash=place_hash,
            purpose=purpose.value,
            about=about,
            code_hash="",
            tries=0,
            made_at=now,
            expires_at=now + LIVES,
        )
        row.code_hash = self._hash(row.code_id, code)
        self._session.add(row)
        self._session.flush()
        if purpose is not CodePurpose.SIGN_IN or self.find_account(number) is not None:
            self._sender.send(number, f"运单 Yundan: {code} ({LIVES.seconds // 60} min)")
        return row.code_id

    def check(
        self, phone: str, purpose: CodePurpose, code: str, *, about: str = ""
    ) -> CodeRefusedError | None:
        """None where the code is right, once; given back, not raised, so that the try is committed."""
        phone_hash = self._keyring.blind("phone", plain_phone(phone))
        query = (
            select(PhoneCodeRow)
            .where(col(PhoneCodeRow.phone_hash) == phone_hash)
            .where(col(PhoneCodeRow.purpose) == purpose.value)
            .where(col(PhoneCodeRow.about) == about)
            .order_by(col(PhoneCodeRow.made_at).desc())
            .limit(1)
            .with_for_update()
        )
        row = self._session.exec(query).first()
        now = self._clock.now()
        if row is None or row.used_at or now >= row.expires_at or row.tries >= MOST_TRIES:
            return CodeRefusedError(
                "the code is used up or too old; ask for a new one", field="code"
            )
        row.tries += 1
        right = secrets.compare_digest(row.code_hash, self._hash(row.code_id, code))
        if right:
            row.used_at = now
        self._session.add(row)
        self._session.flush()
        return None if right else CodeRefusedError(field="code")

    def find_account(self, phone: str) -> str | None:
        """The account of a phone."""
        known = self._keyring.blind("phone", plain_phone(phone))
        query = select(AccountRow).where(col(AccountRow.phone_hash) == known)
        row = self._session.exec(query).first()
        return None if row is None or row.closed_at is not None else row.account_id

    def find_phone(self, account: str) -> str | None:
        """The phone that a person has shown to be his."""
        return self._session.get_one(AccountRow, account).phone

    def set_phone(self, account: str, phone: str) -> None:
        """A person's phone, once a code to it was right; another's it stays.

        Raises:
            InvalidValueError: another account has it.
        """
        number = plain_phone(phone)
        owner = self.find_account(number)
        if owner not in {None, account}:
            raise InvalidValueError("another account has this phone", field="phone")
        row = self._session.get_one(AccountRow, account)
        row.phone, row.phone_hash = number, self._keyring.blind("phone", number)
        self._session.add(row)
        self._session.flush()

    def forget_old(self) -> int:
        """Deletes codes of yesterday and before; how many."""
        old = sa.delete(PhoneCodeRow).where(
            col(PhoneCodeRow.made_at) < self._clock.now() - dt.timedelta(days=1)
        )
        return int(self._session.execute(old).rowcount)  # type: ignore[attr-defined]  # CursorResult of a DELETE

    def _count(self, which: sa.ColumnElement[bool], since: dt.datetime) -> int:
        query = (
            select(sa.func.count())
            .select_from(PhoneCodeRow)
            .where(which)
            .where(col(PhoneCodeRow.made_at) > since)
        )
        return int(self._session.exec(query).one())

    def _hash(self, code_id: str, code: str) -> str:
        # keyed: six digits are guessed in a moment from a plain hash
        return self._keyring.blind("code", f"{code_id}\0{code}")
