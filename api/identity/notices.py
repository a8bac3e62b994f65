"""Short notices to the people of a party, on the phones they have shown to be theirs."""

from __future__ import annotations

import structlog
from sqlmodel import Session, col, select

from api.identity.codes import CodeSender
from api.identity.tables import AccountRow, MemberRow, OrganisationRow
from chain.errors import YundanError
from chain.ids import PartyId

_log = structlog.get_logger(__name__)


class Notices:
    """Notices in one database session."""

    def __init__(self, session: Session, sender: CodeSender) -> None:
        self._session = session
        self._sender = sender

    def tell_party(self, party: PartyId, text: str) -> int:
        """Tells every member of a party's organisation who has a phone; how many were told."""
        query = (
            select(AccountRow)
            .where(col(AccountRow.account_id) == col(MemberRow.account_id))
            .where(col(MemberRow.org_id) == col(OrganisationRow.org_id))
            .where(col(MemberRow.left_at).is_(None))
            .where(col(OrganisationRow.party_id) == str(party))
        )
        told = 0
        for account in self._session.exec(query).all():
            if account.phone is None:
                continue
            try:
                self._sender.send(account.phone, text)
                told += 1
            except YundanError as error:
                _log.warning("notice_not_sent", code=error.code, party=str(party))
        return told
