"""What a browser may fetch: our own files and an allow-list of npm files, from memory, each with its hash.

There is no build step. The npm files are served as they were installed, under paths that their own relative
imports resolve to; a bare import of another package is pointed at its path here. ``asset`` gives an address
with the hash of everything in it, which may be kept for ever; without it a file is asked about every time.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from api.settings import ROOT
from chain.errors import NotFoundError

router = APIRouter(include_in_schema=False)

NODE_MODULES = ROOT / "node_modules"

NPM: dict[str, str] = {
    "htmx/htmx.min.js": "htmx.org/dist/htmx.min.js",
    "htmx/sse.min.js": "htmx-ext-sse/dist/sse.min.js",
    "tabler/tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
    "maplibre/maplibre-gl.mjs": "maplibre-gl/dist/maplibre-gl.mjs",
    "maplibre/maplibre-gl-shared.mjs": "maplibre-gl/dist/maplibre-gl-shared.mjs",
    "maplibre/maplibre-gl-worker.mjs": "maplibre-gl/dist/maplibre-gl-worker.mjs",
    "maplibre/maplibre-gl.css": "maplibre-gl/dist/maplibre-gl.css",
    "uplot/uPlot.esm.js": "uplot/dist/uPlot.esm.js",
    "uplot/uPlot.min.css": "uplot/dist/uPlot.min.css",
    "echarts/echarts.min.mjs": "echarts/dist/echarts.esm.min.mjs",
    "idb/index.js": "idb/build/index.js",
    "signature-pad/signature_pad.js": "signature_pad/dist/signature_pad.min.js",
    "gcoord/gcoord.mjs": "gcoord/dist/gcoord.esm-browser.prod.js",
}
"""Address under ``npm/`` -> file in node_modules. Nothing else of node_modules is served."""

NPM_FOLDERS: dict[str, str] = {
    "noble-hashes/": "@noble/hashes/",
    "noble-curves/": "@noble/curves/",
}
"""Packages whose modules import each other: every ``.js`` file of the folder, and of ``abstract`` in it."""

ICONS: dict[str, str] = {
    "truck": "truck", "good": "check", "wait": "clock", "warn": "alert-triangle", "bad": "x", "plain": "point",
    "business": "file-text", "road": "map-pin", "money": "currency-yuan", "chain": "link", "box": "package",
    "document": "paperclip", "person": "user", "pen": "pencil", "lock": "lock", "home": "layout-dashboard",
    "list": "list-details", "upload": "upload", "download": "download", "plus": "plus", "bell": "bell",
    "key": "key", "bank": "building-bank", "chart": "chart-bar", "book": "book-2", "search": "search",
    "sun": "sun", "moon": "moon", "auto": "brightness-half", "leave": "logout", "play": "player-play",
    "pause": "player-pause", "eye": "eye", "copy": "copy", "steering": "steering-wheel", "qr": "qrcode",
    "camera": "camera", "signature": "signature", "refresh": "refresh", "shield": "shield-check",
    "next": "chevron-right", "back": "chevron-left", "calendar": "calendar", "table": "table", "send": "send",
    "stop": "parking", "star": "star", "photo": "photo", "flag": "flag", "route": "route", "building": "building",
}  # fmt: skip
"""Name of an icon on our pages -> Tabler's outline of that name."""

_FOLDER_FILE = re.compile(r"(abstract/)?[a-z0-9_-]+\.js")
_SVG_INSIDE = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)
_BARE = re.compile(rb"""(from\s*|import\s*)(["'])@noble/(hashes|curves)/""")

_BLOCK_COMMENT = re.compile(rb"^[ \t]*/\*(?!!)(?:(?!\*/).)*\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
_LINE_COMMENT = re.compile(rb"^[ \t]*//.*\n", re.MULTILINE)
_INDENT = re.compile(rb"^[ \t]+|\n(?=\n)", re.MULTILINE)
"""Whole lines of comment and indents, which are half of what noble and idb weigh; code is left alone. What
they serve holds no text over several lines that this could touch, and a test signs with what is served."""

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}

FOR_EVER = "public, max-age=31536000, immutable"
ASK_FIRST = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent.

    Attributes:
        packed: the same under gzip.
        tag: entity tag, with quotes.
    """

    body: bytes
    packed: bytes
    media_type: str
    tag: str


def _own_folder() -> Path:
    return Path(str(resources.files("api.portals") / "static"))


def _file_of(path: str) -> Path | None:
    """The file behind an address; None where it is none of those that may be fetched."""
    if not path.startswith("npm/"):
        parts = path.split("/")
        if any(part in {"", ".", ".."} for part in parts) or Path(path).suffix not in TYPES:
            return None
        return _own_folder().joinpath(*parts)
    name = path.removeprefix("npm/")
    if name in NPM:
        return NODE_MODULES / NPM[name]
    for prefix, folder in NPM_FOLDERS.items():
        rest = name.removeprefix(prefix)
        if rest != name and _FOLDER_FILE.fullmatch(rest):
            return NODE_MODULES / folder / rest
    return None


def _body_of(path: str, file: Path) -> bytes:
    body = file.read_bytes()
    if path.startswith(("npm/noble-", "npm/idb/")):
        for comment in (_BLOCK_COMMENT, _LINE_COMMENT, _INDENT):
            body = comment.sub(b"", body)
    if path.startswith("npm/noble-curves/"):
        up = b"../" * path.removeprefix("npm/noble-curves/").count("/") + b"../noble-"
        return _BARE.sub(rb"\1\2" + up + rb"\3/", body)
    if path == "npm/tabler/tabler.min.css":
        # In a layer of its own every rule of ours wins, whatever its specificity.
        charset = b'@charset "UTF-8";'
        return b"@layer tabler{" + body.removeprefix(charset).split(b"/*# source", 1)[0] + b"}"
    return body


@functools.lru_cache(maxsize=256)
def load(path: str) -> Asset:
    """The asset at an address.

    Raises:
        NotFoundError: nothing may be fetched there, or it is not installed.
    """
    file = _file_of(path)
    if file is None or not file.is_file():
        raise NotFoundError("there is no such file", field="path")
    return _asset(_body_of(path, file), file.suffix)


def _asset(body: bytes, suffix: str) -> Asset:
    return Asset(
        body=body,
        packed=gzip.compress(body, 6, mtime=0),
        media_type=TYPES[suffix],
        tag=f'"{hashlib.sha256(body).hexdigest()[:20]}"',
    )


@functools.cache
def icon(name: str) -> Markup:
    """An icon as part of a page: drawn where it stands, so that it is there with the first paint."""
    file = NODE_MODULES / "@tabler/icons/icons/outline" / f"{ICONS[name]}.svg"
    inside = _SVG_INSIDE.findall(file.read_text("utf-8"))[0]
    paths = "".join(line.strip() for line in inside.splitlines())
    return Markup(f'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">{paths}</svg>')  # noqa: S704  a file of an npm package


@functools.cache
def build() -> str:
    """The hash of every file of ours and of the lock of npm: in the address of what is kept for ever."""
    digest = hashlib.sha256((ROOT / "package-lock.json").read_bytes())
    for file in sorted(_own_folder().rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(_own_folder()).as_posix().encode())
            digest.update(file.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return f"b{digest.hexdigest()[:12]}"


def asset(path: str) -> str:
    """The address of a file that may be kept for ever."""
    return f"/static/{build()}/{path}"


@router.get("/static/{path:path}")
def get_asset(path: str, request: Request) -> Response:
    """A file; compressed where the browser takes it, not sent again where it has it."""
    first, _, rest = path.partition("/")
    is_kept = first == build()
    found = load(rest if is_kept else path)
    headers = {
        "ETag": found.tag,
        "Cache-Control": FOR_EVER if is_kept else ASK_FIRST,
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match", "") == found.tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.packed, media_type=found.media_type, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)
