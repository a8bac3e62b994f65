"""The phone's pages: the driver's app with its service worker and manifest, the consignee's, the receipt's.

They are shells: what is on them comes from /v1, since a driver's must open without a network and a
consignee has no session. Every word is in one file that both languages share and the worker keeps.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse

from api.dependencies import TheContainer
from api.portals import assets
from api.portals.rendering import render
from api.portals.shell import lang_of, theme_of
from api.portals.words import LANGUAGES, catalogue, word
from api.schemas.values import HashText
from chain.errors import NotFoundError

router = APIRouter(include_in_schema=False)

SHARED_WORDS = ("app_name", "app_line", "other_lang")
NOBLE = (
    *(f"npm/noble-curves/{name}.js" for name in ("secp256k1", "utils")),
    *(
        f"npm/noble-curves/abstract/{name}.js"
        for name in ("curve", "der", "fft", "frost", "hash-to-curve", "modular", "weierstrass")
    ),
    *(f"npm/noble-hashes/{name}.js" for name in ("_md", "_u64", "hmac", "sha2", "sha3", "utils")),
)
BASE = (
    "npm/idb/index.js",
    *(f"phone/{name}.js" for name in ("look", "photos", "store", "typed", "vault", "wire")),
)
MODULES = {
    "driver": (
        *NOBLE,
        *BASE,
        *(
            f"phone/{name}.js"
            for name in (
                "clock", "driver", "driver_account", "driver_money", "driver_outbox", "driver_task",
                "outbox", "work",
            )
        ),
    ),
    "consignee": (*NOBLE, *BASE, "npm/signature-pad/signature_pad.js", "phone/consignee.js"),
    "verify": (*NOBLE, *BASE, "phone/verify.js"),
}  # fmt: skip
"""Page -> every module it loads, so that a browser asks for all at once and a worker can keep them."""

LOOKS = ("tokens.css", "phone/phone.css", "icon.svg")
ICONS = (
    "bad", "box", "building", "business", "calendar", "camera", "chain", "download", "flag", "good", "key", "lock", "money", "person", "plain", "qr", "refresh", "road", "route", "send", "shield", "signature", "steering", "truck", "wait", "warn",
)  # fmt: skip
"""What the scripts draw, as symbols of one file that the worker keeps."""


def _page(request: Request, container: TheContainer, script: str, title: str) -> HTMLResponse:
    lang = lang_of(request)
    return HTMLResponse(
        render(
            "phone.html",
            lang,
            theme=theme_of(request),
            title=f"{word(title, lang)} · {word('app_name', lang)}",
            demo=container.settings.demo,
            words=words_file().address,
            icons=icons_file().address,
            script=script,
            modules=MODULES[script],
        )
    )


@router.get("/driver")
def driver(request: Request, container: TheContainer) -> HTMLResponse:
    """The driver's app; it opens without a network once it was opened with one."""
    return _page(request, container, "driver", "ph_driver_title")


@router.get("/receipt/{token}")
def receipt(
    token: Annotated[str, Path(max_length=80)],  # noqa: ARG001  the page's script reads it from its address
    request: Request,
    container: TheContainer,
) -> HTMLResponse:
    """What a consignee sees who has scanned the driver's code."""
    return _page(request, container, "consignee", "ph_receipt_title")


@router.get("/verify/{document}")
def verify(document: HashText, request: Request, container: TheContainer) -> HTMLResponse:  # noqa: ARG001  as above
    """A signed receipt, hashed again in the reader's own browser."""
    return _page(request, container, "verify", "ph_verify_title")


@router.get("/driver/sw.js")
def worker() -> Response:
    """The service worker, with the list of what it keeps: it changes whenever a file does."""
    files = [assets.asset(path) for path in (*LOOKS, *MODULES["driver"])]
    made = [words_file().address, icons_file().address]
    whole = hashlib.sha256("".join([*files, *made]).encode()).hexdigest()[:12]
    names = {"BUILD": whole, "FILES": [*files, *made]}
    head = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in names.items())
    body = assets.load("phone/sw.js").body
    return Response(
        head.encode() + body,
        media_type="text/javascript",
        headers={"Cache-Control": "no-cache", "Service-Worker-Allowed": "/driver"},
    )


@router.get("/driver/manifest.webmanifest")
def manifest(request: Request) -> Response:
    """What a phone needs to install the app."""
    lang = lang_of(request)
    content = {
        "id": "/driver",
        "name": word("ph_driver_title", lang),
        "short_name": word("app_name", lang),
        "start_url": "/driver",
        "scope": "/driver",
        "display": "standalone",
        "background_color": "#f3f5f4",
        "theme_color": "#0b6b57",
        "icons": [
            {"src": assets.asset("phone/icon-192.png"), "sizes": "192x192", "type": "image/png"},
            {
                "src": assets.asset("phone/icon-512.png"),
                "sizes": "512x512",
                "type": "image/png",
                "purpose": "any maskable",
            },
        ],
    }
    return Response(json.dumps(content), media_type="application/manifest+json")


@functools.cache
def phone_words() -> dict[str, dict[str, str]]:
    """The phone's words by language and key."""
    return {
        lang: {
            key: text
            for key, text in catalogue(lang).words.items()
            if key.startswith("ph_") or key in SHARED_WORDS
        }
        for lang in LANGUAGES
    }


@dataclass(frozen=True, slots=True)
class Made:
    """A file that is made here: its address changes with it; the body, and the same under gzip."""

    address: str
    body: bytes
    packed: bytes
    media_type: str

    @classmethod
    def of(cls, name: str, body: bytes, media_type: str) -> Made:
        """The file of a body."""
        digest = hashlib.sha256(body).hexdigest()[:12]
        packed = gzip.compress(body, 9, mtime=0)
        return cls(f"/phone/{digest}/{name}", body, packed, media_type)


@functools.cache
def words_file() -> Made:
    """The words in both languages."""
    body = json.dumps(phone_words(), ensure_ascii=False, separators=(",", ":")).encode()
    return Made.of("words.json", body, "application/json")


@functools.cache
def icons_file() -> Made:
    """The icons, each a symbol that scripts name."""
    symbols = [
        str(assets.icon(name))
        .replace('<svg class="icon"', f'<symbol id="{name}"')
        .replace(' aria-hidden="true"', "")
        .replace("</svg>", "</symbol>")
        for name in ICONS
    ]
    body = f'<svg xmlns="http://www.w3.org/2000/svg">{"".join(symbols)}</svg>'.encode()
    return Made.of("icons.svg", body, "image/svg+xml")


@router.get("/phone/{build}/{name}")
def made_file(build: str, name: str, request: Request) -> Response:
    """A file that is made here, under an address that may be kept for ever."""
    made = next(
        (one for one in (words_file(), icons_file()) if one.address == f"/phone/{build}/{name}"),
        None,
    )
    if made is None:
        raise NotFoundError("there is no such file")
    headers, body = {"Cache-Control": assets.FOR_EVER, "Vary": "Accept-Encoding"}, made.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"], body = "gzip", made.packed
    return Response(body, media_type=made.media_type, headers=headers)
