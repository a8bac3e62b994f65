"""Reads a pack as hostile input: a flat zip of known names, bounded, canonical, hashed in its manifest.

Every bound is checked before anything is believed. The zip has one legal form (deflate, no extras, no gaps,
fixed times), every JSON file has one legal form (RFC 8785), so there is no room in it for a second reading.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import rfc8785

from chain.errors import YundanError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

FORM = "yundan-pack-1"
MANIFEST, SEAL = "manifest.json", "seal.json"
HEADERS, BLOCKS, STATE = "headers.json", "blocks.json", "state.json"
PARTIES, WAYBILLS, TRACK, POLICY, VERDICT = (
    "parties.json", "waybills.json", "track.json", "policy.toml", "verdict.json",
)  # fmt: skip
DECISIONS, FORESTS, LEDGER, PAGE = "decisions.json", "forests.json", "ledger.json", "page.html"
PAYOUTS, RECEIPTS, PAPER = "payouts.json", "receipts.json", "report.pdf"
ORDER = (
    MANIFEST, SEAL, PAGE, PAPER, PARTIES, WAYBILLS, POLICY, TRACK, VERDICT, DECISIONS, FORESTS, LEDGER,
    PAYOUTS, RECEIPTS, HEADERS, BLOCKS, STATE,
)  # fmt: skip
"""Every name there may be, in the order in which they stand in the zip; photos come after them, by name."""
PHOTO = re.compile(r"photos/([0-9a-f]{64})\.(?:jpg|png|webp)")
"""A photo's name is the SHA-256 of its bytes."""

MOST_PACK_BYTES = 256 << 20
MOST_FILE_BYTES = 128 << 20
MOST_BYTES = 256 << 20
MOST_DEPTH = 24
MOST_DIGITS = 16

ZIP_TIME = (1980, 1, 1, 0, 0, 0)
ZIP_MODE = 0o600 << 16
_LOCAL = struct.Struct("<4s5H3L2H")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_ASTRAL = 0xF0
"""From here on a byte begins a character beyond U+FFFF (RFC 3629)."""
_BRACKETS = re.compile(rb"[\[\]{}]")


class PackRefusedError(YundanError):
    """This is not a pack."""

    code = "pack_refused"


@dataclass(slots=True)
class Pack:
    """The files of a pack; their hashes are those of the manifest."""

    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]
    _parsed: dict[str, Any] = field(default_factory=dict)

    @property
    def photos(self) -> set[str]:
        """The hashes of the photos that it holds."""
        found = map(PHOTO.fullmatch, self.files)
        return {one[1] for one in found if one}

    NEEDED: ClassVar[frozenset[str]] = frozenset({HEADERS, BLOCKS, STATE, WAYBILLS, PARTIES})

    def json(self, name: str) -> Any:
        """A file's value; None if the pack has no such file.

        Raises:
            PackRefusedError: it is not canonical JSON within bounds.
        """
        if name not in self._parsed:
            self._parsed[name] = read_json(self.files[name], name) if name in self.files else None
        return self._parsed[name]


def read_pack(raw: BinaryIO) -> Pack:
    """Reads a pack from an open, seekable file.

    Raises:
        PackRefusedError: names the file or rule that is broken.
        OSError: the file cannot be read.
    """
    size = raw.seek(0, io.SEEK_END)
    if size > MOST_PACK_BYTES:
        raise PackRefusedError(f"a pack has at most {MOST_PACK_BYTES} bytes", field="size")
    try:
        files = _unzip(raw, size)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError) as error:
        raise PackRefusedError(f"the zip is damaged: {error}", field="zip") from error
    except (ValueError, RuntimeError, KeyError, IndexError) as error:
        raise PackRefusedError(f"the zip cannot be read: {error}", field="zip") from error
    if MANIFEST not in files:
        raise PackRefusedError("there is no manifest", field=MANIFEST)
    manifest = read_json(files[MANIFEST], MANIFEST)
    _check_manifest(manifest, files)
    return Pack(files, manifest)


def _unzip(raw: BinaryIO, size: int) -> dict[str, bytes]:
    with zipfile.ZipFile(raw) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        photos = sorted(name for name in names if PHOTO.fullmatch(name))
        for name in names:
            if name not in ORDER and name not in photos:
                raise PackRefusedError(f"a pack has no file called {name!r}", field="file name")
        if len(set(names)) != len(names):
            raise PackRefusedError("two files have one name", field="file name")
        if names != [*(name for name in ORDER if name in names), *photos]:
            raise PackRefusedError("the files stand in another order", field="file order")
        if any(info.file_size > MOST_FILE_BYTES for info in infos) or (
            sum(info.file_size for info in infos) > MOST_BYTES
        ):
            raise PackRefusedError("the files are larger than a pack may hold", field="size")
        _check_structure(raw, size, archive, infos)
        return {info.filename: _inflate(archive, info) for info in infos}


def _check_structure(
    raw: BinaryIO, size: int, archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo]
) -> None:
    """The one legal form: entry after entry, directory, end; nothing between, before or after."""
    at = 0
    for info in infos:
        name = info.filename.encode("ascii")
        plain = (
            info.date_time == ZIP_TIME
            and info.compress_type == zipfile.ZIP_DEFLATED
            and (info.flag_bits, info.extra, info.comment) == (0, b"", b"")
            and (info.create_system, info.external_attr, info.internal_attr) == (3, ZIP_MODE, 0)
            and (info.create_version, info.extract_version) == (20, 20)
            and info.volume == 0
            and info.header_offset == at
        )
        raw.seek(at)
        local = _LOCAL.unpack(raw.read(_LOCAL.size))
        wanted = (
            b"PK\3\4", 20, 0, zipfile.ZIP_DEFLATED, 0, 33,
            info.CRC, info.compress_size, info.file_size, len(name), 0,
        )  # fmt: skip
        if not plain or local != wanted or raw.read(len(name)) != name:
            raise PackRefusedError("an entry is not of a pack's form", field=info.filename)
        at += _LOCAL.size + len(name) + info.compress_size
    directory = sum(46 + len(info.filename) for info in infos)
    raw.seek(at + directory)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(infos), len(infos), directory, at, 0)
    if archive.start_dir != at or archive.comment or raw.read() != end:
        raise PackRefusedError("the end of the zip is not of a pack's form", field="zip")
    if size != at + directory + len(end):
        raise PackRefusedError("bytes stand after the zip's end", field="zip")


def _inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as entry:
        data = entry.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise PackRefusedError("a file is not as long as it says", field=info.filename)
    return data


def read_json(data: bytes, name: str) -> Any:
    """A JSON value in its one canonical form, bounded in depth and digits, no name twice.

    Raises:
        PackRefusedError: anything else.
    """
    deepest = depth = 0
    for found in _BRACKETS.findall(_STRING.sub(b"", data)):
        depth += 1 if found in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > MOST_DEPTH:
        raise PackRefusedError(f"JSON is at most {MOST_DEPTH} deep", field=name)
    fractions: list[float] = []

    def fraction(text: str) -> float:
        fractions.append(float(text))
        return fractions[-1]

    try:
        value = json.loads(
            data,
            object_pairs_hook=_members,
            parse_int=_whole,
            parse_float=fraction,
            parse_constant=_refuse,
        )
        canonical = rfc8785.dumps(value) if fractions else _canonical(value, data)
    except (ValueError, TypeError, RecursionError) as error:
        raise PackRefusedError(f"{name} cannot be read: {error}", field=name) from error
    if canonical != data:
        raise PackRefusedError(f"{name} is not in canonical form (RFC 8785)", field=name)
    return value


def _canonical(value: Any, data: bytes) -> bytes:
    """The value's canonical form; of whole numbers and common characters the standard library's is the same."""
    if max(data, default=0) < _ASTRAL:  # names then sort by code points as they do by UTF-16 units
        quick = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        if quick.encode() == data:
            return data
    canonical: bytes = rfc8785.dumps(value)
    return canonical


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return made


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS + 1 or abs(value := int(text)) >= 1 << 53:
        raise ValueError("a number beyond 2^53")
    return value


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _check_manifest(manifest: Any, files: Mapping[str, bytes]) -> None:
    if not isinstance(manifest, dict) or manifest.get("form") != FORM:
        raise PackRefusedError(f"the manifest is not of form {FORM}", field=MANIFEST)
    try:
        listed = {one["name"]: (one["sha256"], one["bytes"]) for one in manifest["files"]}
        count = len(manifest["files"])
    except (KeyError, TypeError) as error:
        raise PackRefusedError("the manifest lists no files", field=MANIFEST) from error
    given = {name: body for name, body in files.items() if name not in {MANIFEST, SEAL}}
    if len(listed) != count or listed.keys() != given.keys():
        odd = ", ".join(sorted(map(str, listed.keys() ^ given.keys()))) or "twice"
        raise PackRefusedError(f"the manifest lists other files: {odd}", field=MANIFEST)
    for name, body in given.items():
        if listed[name] != (hashlib.sha256(body).hexdigest(), len(body)):
            raise PackRefusedError(f"{name} is not the file of the manifest", field=name)
    for name, body in given.items():
        photo = PHOTO.fullmatch(name)
        if photo and photo[1] != hashlib.sha256(body).hexdigest():
            raise PackRefusedError(f"{name} is not the photo of its name", field=name)
    for name in sorted(Pack.NEEDED - given.keys()):
        raise PackRefusedError(f"{name} is missing", field=name)
