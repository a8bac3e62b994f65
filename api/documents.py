"""Photos and papers of a trip, a waybill, an advance or a party: kept whole, named by their hash.

Whoever may see what a document is about may see the document. Its owner may take the content away
again (a face, a name); size, type and hash stay, so that what was signed over can still be told.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
import sqlmodel
from sqlmodel import Session, col
from sqlmodel.sql.expression import SelectOfScalar

from api.errors import ApiError
from api.media import Media
from api.object_ids import About, new_id
from api.paging import newest_first
from api.tables import DocumentContentRow, DocumentRow
from chain.clock import Clock
from chain.errors import NotFoundError
from chain.ids import PartyId

MOST_ABOUT_ONE = 200
"""Documents about one object."""


class Purpose(StrEnum):
    """What a document is for."""

    LOADING_PHOTO = "loading_photo"
    """The goods on the truck."""
    RECEIPT_PHOTO = "receipt_photo"
    """The goods and the paper at the consignee's gate (签收单)."""
    DAMAGE_PHOTO = "damage_photo"
    """What was short or broken."""
    SIGNATURE = "signature"
    """A signature drawn on glass."""
    CONTRACT = "contract"
    INVOICE = "invoice"
    LICENCE = "licence"
    OTHER = "other"


class TooManyDocumentsError(ApiError):
    """This object has as many documents as it may have."""

    code = "too_many_documents"


class ContentGoneError(ApiError):
    """The content was taken away by its owner; its hash stands."""

    code = "content_gone"


@dataclass(frozen=True, slots=True)
class Document:
    """A document without its content.

    Attributes:
        sha256: of the content as it was sent, 0x and 64 hex digits.
        erased_at: when its owner took the content away.
    """

    id: str
    number: int
    owner: PartyId
    about: About
    purpose: Purpose
    name: str
    media_type: str
    size: int
    sha256: str
    width: int | None
    height: int | None
    created_at: dt.datetime
    erased_at: dt.datetime | None = None


class Documents:
    """The documents in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def add(
        self,
        owner: PartyId,
        about: About,
        purpose: Purpose,
        content: bytes,
        *,
        media: Media,
        name: str = "",
    ) -> Document:
        """Keeps a document; the same content about the same object by the same owner is kept once.

        Args:
            owner: who sends it.
            about: what it is about; whether he may is for the caller to ask.
            purpose: what it is for.
            content: the file.
            media: what ``api.media.sniff`` has found it to be.
            name: what people call it.

        Raises:
            TooManyDocumentsError: the object has ``MOST_ABOUT_ONE``.
        """
        digest = "0x" + hashlib.sha256(content).hexdigest()
        beside = self._about(about)
        known = self._session.exec(
            beside.where(
                col(DocumentRow.sha256) == digest,
                col(DocumentRow.owner) == str(owner),
                col(DocumentRow.purpose) == purpose.value,
                col(DocumentRow.erased_at).is_(None),
            )
        ).first()
        if known is not None:
            return _document(known)
        count = sqlmodel.select(sa.func.count()).select_from(beside.subquery())
        if self._session.exec(count).one() >= MOST_ABOUT_ONE:
            raise TooManyDocumentsError(
                f"at most {MOST_ABOUT_ONE} documents are about one object", field="about"
            )
        row = DocumentRow(
            document_id=new_id("document"),
            owner=str(owner),
            about_kind=about.kind,
            about_id=about.id,
            purpose=purpose.value,
            name=name,
            media_type=media.media_type,
            size=len(content),
            sha256=digest,
            width=media.width,
            height=media.height,
            created_at=self._clock.now(),
        )
        self._session.add(row)
        self._session.flush()
        self._session.add(DocumentContentRow(document_id=row.document_id, content=content))
        self._session.flush()
        return _document(row)

    def find(self, document: str) -> Document | None:
        """A document by its id."""
        row = self._row(document)
        return None if row is None else _document(row)

    def get_content(self, document: str) -> bytes:
        """The file.

        Raises:
            NotFoundError: there is no such document.
            ContentGoneError: its owner took it away.
        """
        row = self._session.get(DocumentContentRow, document)
        if row is None:
            if self._row(document) is None:
                raise NotFoundError("there is no such document")
            raise ContentGoneError
        return row.content

    def list_about(self, about: About) -> list[Document]:
        """Every document about an object, oldest first."""
        query = self._about(about).order_by(col(DocumentRow.number)).limit(MOST_ABOUT_ONE)
        return [_document(row) for row in self._session.exec(query)]

    def list_of(
        self, owner: PartyId, *, before: int | None = None, after: int | None = None, limit: int
    ) -> list[Document]:
        """A page of what a party has sent, newest first; ``after`` gives the page before a cursor."""
        query = sqlmodel.select(DocumentRow).where(col(DocumentRow.owner) == str(owner))
        rows = newest_first(
            self._session, query, col(DocumentRow.number), before=before, after=after, limit=limit
        )
        return [_document(row) for row in rows]

    def erase(self, document: str, owner: PartyId) -> Document:
        """Takes the content away for ever; twice is once.

        Raises:
            NotFoundError: the party has sent no such document.
        """
        row = self._row(document)
        if row is None or row.owner != str(owner):
            raise NotFoundError("there is no such document")
        if row.erased_at is None:
            content = self._session.get(DocumentContentRow, document)
            if content is not None:
                self._session.delete(content)
            row.erased_at, row.name = self._clock.now(), ""
            self._session.add(row)
            self._session.flush()
        return _document(row)

    def _row(self, document: str) -> DocumentRow | None:
        query = sqlmodel.select(DocumentRow).where(col(DocumentRow.document_id) == document)
        return self._session.exec(query).first()

    def _about(self, about: About) -> SelectOfScalar[DocumentRow]:
        return sqlmodel.select(DocumentRow).where(
            col(DocumentRow.about_kind) == about.kind, col(DocumentRow.about_id) == about.id
        )


def _document(row: DocumentRow) -> Document:
    return Document(
        id=row.document_id,
        number=row.number or 0,
        owner=PartyId(int(row.owner)),
        about=About(row.about_kind, row.about_id),  # type: ignore[arg-type]  # a check keeps it
        purpose=Purpose(row.purpose),
        name=row.name,
        media_type=row.media_type,
        size=row.size,
        sha256=row.sha256,
        width=row.width,
        height=row.height,
        created_at=row.created_at,
        erased_at=row.erased_at,
    )
