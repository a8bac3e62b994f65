"""The account book: where a payee wants his money, by the salted hash he consented to; pure.

The chain holds only the hash. Number and holder are kept sealed under a key of their own, so that they can
be forgotten while the trail stands.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final

import rfc8785

from chain.abi import Struct, bytes32, hash32
from chain.ids import Hash32, PartyId
from chain.keccak import keccak

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from typing import Self

    from chain.bindings.structs import PayoutRedirect
    from chain.ids import Address
    from chain.party import Party
    from finance.iso20022 import BankAccount


class Relation(StrEnum):
    """Who holds the account of a payee."""

    SELF = "self"
    """The payee himself: the holder's name must be his."""
    VEHICLE_OWNER = "vehicle_owner"
    """The owner of the vehicle he drives: a person has seen the papers."""


@dataclass(frozen=True, slots=True)
class PayoutAccount:
    """An account in the book.

    Attributes:
        account: salted hash: what payee and chain know it by.
        consent: what shows that the payee agreed to its use, e.g. the hash of the form he signed.
        vouched_by: the person who let another holder's account stand; "" where the names agree.
        key: the record's own key, wrapped; empty once it is forgotten.
        sealed: holder, number, bank and salt, under that key.
    """

    account: Hash32
    party: PartyId
    relation: Relation
    consent: str
    consented_at: dt.datetime
    recorded_at: dt.datetime
    key: bytes
    sealed: bytes
    vouched_by: str = ""
    forgotten_at: dt.datetime | None = None

    @property
    def is_usable(self) -> bool:
        """Whether money may be sent there: in the payee's name, or vouched for; not forgotten."""
        vouched = self.relation is Relation.SELF or bool(self.vouched_by)
        return vouched and self.forgotten_at is None


@dataclass(frozen=True, slots=True)
class AccountConsent(Struct):
    """A payee agrees that an account is used to pay him. Signed under SettlementToken's domain.

    Attributes:
        account: salted hash of the account.
        relation: ``Relation``: whose it is.
        terms: hash of the words he agreed to (``CONSENT``).
        expires: last second at which the signature is taken.
    """

    EIP712: ClassVar[str] = (
        "AccountConsent(uint64 party,bytes32 account,string relation,bytes32 terms,"
        "uint64 expires,bytes32 salt)"
    )

    party: PartyId
    account: Hash32
    relation: str
    terms: Hash32
    expires: int
    salt: Hash32

    def to_abi(self) -> tuple[Any, ...]:
        """The values in order."""
        return (
            self.party,
            bytes32(self.account),
            self.relation,
            bytes32(self.terms),
            self.expires,
            bytes32(self.salt),
        )

    @classmethod
    def from_abi(cls, values: Sequence[Any]) -> Self:
        """The consent from its values in order."""
        party, account, relation, terms, expires, salt = values
        return cls(PartyId(party), hash32(account), relation, hash32(terms), expires, hash32(salt))


CONSENT: Final = {
    "version": "2026-01",
    "zh": "我同意运单平台和存管银行把这个账户用于向我支付运费, 只作此用; 我可以随时要求删除。",
    "en": "I agree that Yundan and the custodian bank use this account to pay me freight, for nothing else;"
    " I may have it deleted at any time.",
}
"""What a payee agrees to; its hash stands in what he signs."""

CONSENT_HASH: Final = hash32(keccak(rfc8785.dumps(CONSENT)))


@dataclass(frozen=True, slots=True)
class PayIn:
    """A payment reference and the token account that money under it belongs to.

    Attributes:
        about: the waybill or party it was opened for.
    """

    reference: str
    target: Address
    about: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """What a payee has signed and the custodian may agree to.

    Attributes:
        form: payout, new account, and until when it holds.
        approved_by: who agreed for the custodian; "" while nobody has.
    """

    form: PayoutRedirect
    party: PartyId
    payee_signature: bytes
    asked_at: dt.datetime
    approved_at: dt.datetime | None = None
    approved_by: str = ""


def account_hash(account: BankAccount, salt: Hash32) -> Hash32:
    """The salted hash of an account: keccak of salt and canonical JSON of its three parts."""
    body = {"bank": account.bank, "holder": account.holder, "number": account.number}
    return hash32(keccak(bytes32(salt) + rfc8785.dumps(body)))


def is_name_of(holder: str, party: Party) -> bool:
    """Whether an account is held in a party's name; width, case, blanks and dots do not count."""
    return bool(_plain(holder)) and _plain(holder) in {_plain(party.name_zh), _plain(party.name_en)}


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in text if letter.isalnum() or letter in "()")


_REFERENCE: Final = re.compile(r"(?=(YD[A-Z2-7]{14}))")
"""At every place, overlapping ones too: what stands before a reference must not hide it."""


def pay_in_reference(target: Address) -> str:
    """The reference that a payer writes so that his money is booked to a token account: 16 letters."""
    digest = keccak(b"yundan.pay-in" + bytes.fromhex(target[2:]))
    return "YD" + base64.b32encode(digest).decode()[:14]


def references_in(text: str) -> tuple[str, ...]:
    """Every payment reference in what a payer wrote; blanks, hyphens and case do not count."""
    squeezed = re.sub(r"[\s\-_/.]", "", unicodedata.normalize("NFKC", text)).upper()
    return tuple(dict.fromkeys(_REFERENCE.findall(squeezed)))
