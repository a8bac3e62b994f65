"""Documents: photos and papers about a trip, a waybill, an advance, a line or a party."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator

from api.auth import Caller, Scope
from api.dependencies import OnceOnly, RawBody, Reader, Requires, Seen, TheContainer
from api.documents import Document, Purpose
from api.media import EXTENSIONS, MediaRefusedError, sniff
from api.object_ids import prefixed, read_about
from api.ports import Services
from api.schemas.documents import AboutText, DocumentPage, DocumentShown, DocumentText
from api.schemas.values import plain_text
from api.sight import require_sight
from api.validators import IfMatch, require_match, tagged
from chain.errors import InvalidValueError, NotFoundError

router = APIRouter(prefix="/documents", tags=["documents"])

Sender = Annotated[Caller, Depends(Requires(Scope.DOCUMENTS))]
NameAsked = Annotated[str, Query(max_length=120), AfterValidator(plain_text)]

UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in (*EXTENSIONS, "application/octet-stream")
        },
    }
}


def show_document(document: Document) -> DocumentShown:
    """A document as callers see it."""
    return DocumentShown(
        id=document.id,
        about=prefixed(document.about.kind, document.about.id),
        owner=str(document.owner),
        purpose=document.purpose,
        name=document.name,
        media_type=document.media_type,
        size=document.size,
        sha256=document.sha256,
        width=document.width,
        height=document.height,
        created_at=document.created_at,
        erased_at=document.erased_at,
        url=f"/v1/documents/{document.id}/content",
    )


def get_visible(services: Services, document: str, caller: Caller) -> Document:
    """A document that the caller may see.

    Raises:
        NotFoundError: there is none, or what it is about is none of his business.
    """
    found = services.documents.find(document)
    if found is None:
        raise NotFoundError("there is no such document")
    if found.owner == caller.party_id:
        return found
    try:
        require_sight(services, found.about, caller)
    except NotFoundError:
        raise NotFoundError("there is no such document") from None
    return found


@router.post("", status_code=201, response_model=DocumentShown, openapi_extra=UPLOAD)
def upload(
    *,
    request: Request,
    caller: Sender,
    once: OnceOnly,
    body: RawBody,
    about: Annotated[AboutText, Query()],
    purpose: Annotated[Purpose, Query()] = Purpose.OTHER,
    name: NameAsked = "",
) -> Response:
    """Takes a file as the body: JPEG, PNG, WebP or PDF, at most 6 MiB.

    The bytes decide what it is; a Content-Type that says otherwise is refused. The answer has the
    SHA-256 that a receipt can be signed over. The same file about the same object is kept once.
    """
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said not in {*EXTENSIONS, "application/octet-stream"}:
        raise MediaRefusedError(
            "send the file itself: Content-Type image/jpeg, image/png, image/webp or application/pdf",
            field="Content-Type",
            given=said[:80],
        )

    media = sniff(body)
    if said not in {"application/octet-stream", media.media_type}:
        raise MediaRefusedError(
            f"the file is {media.media_type}, not {said}",
            field="Content-Type",
            given=said,
            found=media.media_type,
        )

    def work(services: Services) -> DocumentShown:
        what = read_about(about)
        require_sight(services, what, caller)
        kept = services.documents.add(
            caller.require_self(), what, purpose, body, media=media, name=name
        )
        return show_document(kept)

    return once.run(caller.name, work)


@router.get("")
def list_documents(
    *,
    caller: Reader,
    container: TheContainer,
    about: Annotated[AboutText | None, Query(description="all about one object")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: Annotated[DocumentText | None, Query()] = None,
    ending_before: Annotated[DocumentText | None, Query()] = None,
) -> DocumentPage:
    """The documents about one object (oldest first), or those that the caller has sent (newest first)."""
    with container.read() as services:
        if about is not None:
            what = read_about(about)
            require_sight(services, what, caller)
            found, more = services.documents.list_about(what), False
        else:
            before, after = (
                _number(services, cursor, caller, name)
                for cursor, name in (
                    (starting_after, "starting_after"), (ending_before, "ending_before"),
                )
            )  # fmt: skip
            rows = services.documents.list_of(
                caller.require_self(), before=before, after=after, limit=limit + 1
            )
            more = len(rows) > limit
            found = rows[-limit:] if after is not None else rows[:limit]
    return DocumentPage(
        data=[show_document(one) for one in found],
        has_more=more,
        next_cursor=found[-1].id if more else None,
    )


def _number(services: Services, cursor: str | None, caller: Caller, name: str) -> int | None:
    if cursor is None:
        return None
    found = services.documents.find(cursor)
    if found is None or found.owner != caller.party_id:
        raise InvalidValueError(f"{name} is no document of yours", field=name)
    return found.number


@router.get("/{document}", response_model=DocumentShown)
def get_document(
    document: DocumentText, request: Request, caller: Reader, container: TheContainer
) -> Response:
    """What is known of a document."""
    with container.read() as services:
        return tagged(request, show_document(get_visible(services, document, caller)))


@router.get(
    "/{document}/content",
    dependencies=[Depends(Seen("document"))],
    response_class=Response,
    responses={
        200: {
            "description": "The file as it was sent",
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}} for kind in EXTENSIONS
            },
        },
    },
)
def get_content(document: DocumentText, caller: Reader, container: TheContainer) -> Response:
    """The file as it was sent; a browser is told to save it, never to run it."""
    with container.read() as services:
        found = get_visible(services, document, caller)
        content = services.documents.get_content(document)
    name = found.name or f"{found.id}.{EXTENSIONS[found.media_type]}"
    return Response(
        content,
        media_type=found.media_type,
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "ETag": f'"{found.sha256[2:]}"',
        },
    )


@router.delete("/{document}", response_model=DocumentShown)
def erase(
    document: DocumentText, caller: Sender, once: OnceOnly, if_match: IfMatch = None
) -> Response:
    """Takes the content away for ever, for its owner alone; its hash, size and type stand."""

    def work(services: Services) -> DocumentShown:
        held = services.documents.find(document)
        if held is not None and held.owner == caller.party_id:
            require_match(if_match, show_document(held))
        return show_document(services.documents.erase(document, caller.require_self()))

    return once.run(caller.name, work, 200)
