"""Use cases of the account book: a payee enters where he wants his money, agrees to its use, and may be forgotten."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chain.clock import beijing_day
from chain.errors import InvalidValueError, SignatureRefusedError
from chain.ids import Hash32
from chain.typed_data import struct_hash
from finance.iso20022 import BankAccount
from finance.payout_accounts import PayoutAccount, Relation, account_hash, is_name_of
from finance.payout_errors import AccountRefusedError
from finance.payouts import PayoutState, Question, QuestionKind
from finance.relations import Link, LinkKind, party_name

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection

    from chain.clock import Clock
    from chain.ids import PartyId
    from finance.payout_accounts import AccountConsent
    from finance.payout_ports import Links, Parties, PayoutDesk, Seal, Signatures

CONTRACT: Final = "SettlementToken"
"""The contract whose EIP-712 domain a consent is signed under."""


class AccountBook:
    """Payees' accounts. One object serves one database transaction.

    Args:
        desk: the rows.
        parties: who the payees are, for their names.
        seal: keeps account numbers unreadable at rest.
        signatures: whose key signed a consent.
        clock: the chain's time.
        links: where it is kept that a party is paid into an account.
        blind: keyed hash of an account number: the same account is seen, its number is not.
    """

    def __init__(
        self,
        *,
        desk: PayoutDesk,
        parties: Parties,
        seal: Seal,
        signatures: Signatures,
        clock: Clock,
        links: Links,
        blind: Callable[[str], str],
    ) -> None:
        self._desk = desk
        self._parties = parties
        self._seal = seal
        self._signatures = signatures
        self._clock = clock
        self._links = links
        self._blind = blind

    def enter(
        self, form: AccountConsent, signature: bytes, account: BankAccount, *, salt: Hash32
    ) -> PayoutAccount:
        """Takes a payee's account with his signed consent to its use.

        An account in his own name may be paid to at once; that of his vehicle's owner waits until a person
        has seen the papers (``vouch``).

        Args:
            form: names the account by its salted hash.
            signature: by the payee's present key.
            account: what the hash hides.
            salt: 32 random bytes that only payee and book know.

        Raises:
            AccountRefusedError: the hash is of another account, or the holder's name is not the payee's.
            SignatureRefusedError: the payee has not signed, or the form has expired.
        """
        if account_hash(account, salt) != form.account:
            raise AccountRefusedError(
                "the consent names another account than was given", field="account"
            )
        if form.expires < int(self._clock.now().timestamp()):
            raise SignatureRefusedError(
                "the form has expired; prepare a new one", field="expires", given=form.expires
            )
        if not self._signatures.is_signed(form.party, CONTRACT, form, signature):
            raise SignatureRefusedError(
                "the consent is not signed by the payee's present key", field="signature"
            )
        return self._add(
            form.party,
            account,
            salt=salt,
            consent=struct_hash(form),
            consented_at=self._clock.now(),
            relation=Relation(form.relation),
            vouched_by="",
        )

    def register_account(
        self,
        party: PartyId,
        account: BankAccount,
        *,
        salt: Hash32,
        consent: str,
        consented_at: dt.datetime,
        relation: Relation = Relation.SELF,
        vouched_by: str = "",
    ) -> Hash32:
        """Enters an account on papers that a person holds; the hash that comes back is what the chain holds.

        Args:
            party: the payee.
            account: where he wants his money.
            salt: 32 random bytes that only payee and book know.
            consent: what shows that he agreed to its use (the hash of what he signed).
            consented_at: when he did.
            relation: SELF, or VEHICLE_OWNER where another holds it.
            vouched_by: the person who saw the papers of a vehicle's owner.

        Raises:
            AccountRefusedError: the holder's name is not the payee's, or nobody vouches for another's.
        """
        if relation is Relation.VEHICLE_OWNER and not vouched_by:
            raise AccountRefusedError(
                "a person must vouch for the account of a vehicle's owner", field="vouched_by"
            )
        return self._add(
            party,
            account,
            salt=salt,
            consent=consent,
            consented_at=consented_at,
            relation=relation,
            vouched_by=vouched_by,
        ).account

    def vouch(self, account: Hash32, *, by: str) -> PayoutAccount:
        """A person has seen the papers of the vehicle's owner: the account may be paid to.

        Raises:
            AccountRefusedError: no such account waits for it, or nobody says so.
        """
        held = self._desk.find_account(account)
        if held is None or held.relation is not Relation.VEHICLE_OWNER or held.forgotten_at:
            raise AccountRefusedError("no account of a vehicle's owner waits here", field="account")
        if not by.strip():
            raise AccountRefusedError("say who has seen the papers", field="by")
        if held.vouched_by:
            return held
        vouched = replace(held, vouched_by=by)
        self._desk.save_account(vouched)
        self._desk.close_question(
            QuestionKind.OWNER_ACCOUNT.value, account, by=by, at=self._clock.now()
        )
        return vouched

    def forget_account(self, account: Hash32) -> None:
        """Makes an account unreadable for ever, the orders sent to it included; its hash stays.

        Raises:
            AccountRefusedError: unknown, or a payout to it is still on its way.
        """
        held = self._desk.find_account(account)
        if held is None:
            raise AccountRefusedError("no such account", field="account", given=account)
        under_way = [
            payout
            for payout in self._desk.list_payouts(party=held.party)
            if payout.state is not PayoutState.CONFIRMED
            and account
            in {payout.account, *(leg.account for leg in self._desk.list_legs(payout.payout))}
        ]
        if under_way:
            raise AccountRefusedError(
                "a payout to it is on its way", field="account", payout=under_way[0].payout
            )
        now = self._clock.now()
        self._desk.save_account(replace(held, key=b"", sealed=b"", forgotten_at=now))

    def list_of(self, party: PartyId) -> list[tuple[PayoutAccount, str]]:
        """A party's accounts, oldest first, each with its number's last four digits ("" once forgotten)."""
        found = []
        for held in self._desk.list_accounts(party):
            tail = "" if held.forgotten_at else _read(self._seal, held)[0].number[-4:]
            found.append((held, tail))
        return found

    def tails(self, accounts: Collection[Hash32]) -> dict[Hash32, str]:
        """The last four digits of accounts, all that a third person is told; "" once forgotten or unknown."""
        found = {}
        for account in set(accounts):
            held = self._desk.find_account(account)
            found[account] = (
                ""
                if held is None or held.forgotten_at is not None
                else _read(self._seal, held)[0].number[-4:]
            )
        return found

    def get(self, account: Hash32) -> PayoutAccount:
        """An account as the book has it, number sealed.

        Raises:
            AccountRefusedError: there is none.
        """
        held = self._desk.find_account(account)
        if held is None:
            raise AccountRefusedError("no such account", field="account", given=account)
        return held

    def _add(
        self,
        party: PartyId,
        account: BankAccount,
        *,
        salt: Hash32,
        consent: str,
        consented_at: dt.datetime,
        relation: Relation,
        vouched_by: str,
    ) -> PayoutAccount:
        if not consent:
            raise AccountRefusedError("the payee has not agreed to its use", field="consent")
        known = self._parties.find_party(party)
        if known is None:
            raise AccountRefusedError("no such party", field="party", given=str(party))
        if relation is Relation.SELF and not is_name_of(account.holder, known):
            raise AccountRefusedError(
                "the account is not held in the payee's name", field="holder", party=str(party)
            )
        if len(salt) != 66:
            raise InvalidValueError("a salt has 32 bytes", field="salt")
        hashed = account_hash(account, salt)
        held = self._desk.find_account(hashed)
        if held is not None:
            if held.party != party:
                raise AccountRefusedError("the account is in the book for another party")
            return held
        key = self._seal.new_key()
        body = {
            "bank": account.bank,
            "holder": account.holder,
            "number": account.number,
            "salt": salt,
        }
        now = self._clock.now()
        entered = PayoutAccount(
            account=hashed,
            party=party,
            relation=relation,
            consent=consent,
            consented_at=consented_at,
            recorded_at=now,
            key=key,
            sealed=self._seal.seal(key, json.dumps(body).encode(), hashed),
            vouched_by=vouched_by if relation is Relation.VEHICLE_OWNER else "",
        )
        self._desk.add_account(entered)
        if relation is Relation.SELF:  # an owner whose drivers share his account makes them no kin
            shared = f"account:{self._blind(f'{account.bank}:{account.number}')}"
            link = Link(party_name(party), shared, LinkKind.ACCOUNT, beijing_day(now))
            self._links.add_link(link)
        if not entered.is_usable:
            text = (
                "a payee names the account of his vehicle's owner: look at the papers, then vouch"
            )
            self._desk.raise_question(Question(QuestionKind.OWNER_ACCOUNT, hashed, text), at=now)
        return entered


def open_account(
    desk: PayoutDesk, seal: Seal, account: Hash32, party: PartyId
) -> tuple[BankAccount, bytes]:
    """An account as the bank must be told it, with its record's key.

    Raises:
        AccountRefusedError: not in the book, another's, not vouched for, forgotten, or not what was consented to.
    """
    held = desk.find_account(account)
    if held is None:
        raise AccountRefusedError("the payee's account is not in the account book")
    if held.party != party:
        raise AccountRefusedError("the account is in the book for another party")
    if held.forgotten_at is not None:
        raise AccountRefusedError("the account was forgotten at its holder's wish")
    if not held.is_usable:
        raise AccountRefusedError("nobody has vouched for the account of the vehicle's owner yet")
    found, salt = _read(seal, held)
    if account_hash(found, salt) != account:
        raise AccountRefusedError("the account in the book is not the one consented to")
    return found, held.key


def _read(seal: Seal, held: PayoutAccount) -> tuple[BankAccount, Hash32]:
    body = json.loads(seal.open(held.key, held.sealed, held.account))
    return BankAccount(body["holder"], body["number"], body["bank"]), Hash32(body["salt"])
