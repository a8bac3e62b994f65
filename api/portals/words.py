"""The pages' words: gettext catalogues in Chinese and English, one pair of files for each part of the pages.

A message id is a key, not a sentence, so that both languages are translations and neither is the original.
``catalogue/LANG/PART.po`` are read at the first use; a test fails where a page asks for a word that a
language lacks, and where two parts give one key.
"""

from __future__ import annotations

import functools
import gettext
import io
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import babel.messages
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = ("zh", "en")
LOCALES = {"zh": "zh_CN", "en": "en"}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The words of one language.

    Attributes:
        words: by key; of a word with plural forms, the plural.
        plural: gettext over all parts, for words that count.
    """

    words: dict[str, str]
    plural: gettext.GNUTranslations


def folder(lang: str) -> Path:
    """Where a language's catalogues lie."""
    return Path(str(resources.files("api.portals") / "catalogue" / lang))


@functools.cache
def catalogue(lang: str) -> Catalogue:
    """Every word of a language.

    Raises:
        ValueError: two parts give the same key.
    """
    words: dict[str, str] = {}
    whole = babel.messages.Catalog(locale=LOCALES[lang])
    for file in sorted(folder(lang).glob("*.po")):
        with file.open("rb") as lines:
            part = read_po(lines, locale=LOCALES[lang], abort_invalid=True)
        for message in part:
            if not message.id:
                continue
            key = message.id if isinstance(message.id, str) else message.id[0]
            if key in words:
                raise ValueError(f"{file.name} gives {key!r} a second time")
            texts = message.string or ""
            words[key] = texts if isinstance(texts, str) else texts[-1]
            whole.add(message.id, message.string)
    binary = io.BytesIO()
    write_mo(binary, whole)
    binary.seek(0)
    plural = gettext.GNUTranslations(binary)
    return Catalogue(words, plural)


def word(key: str, lang: str, n: int | None = None, **facts: Any) -> str:
    """A word in a language, with its facts filled in.

    Args:
        key: of the catalogue.
        lang: ``zh`` or ``en``.
        n: how many, where the word counts; it is the fact ``n`` too.
        facts: what the word's braces name.

    Raises:
        KeyError: the catalogue lacks the word, or a fact is missing.
    """
    found = catalogue(lang)
    text = found.words[key]
    if n is not None:
        text = found.plural.ngettext(key, key, n)
        facts["n"] = n
    return text.format(**facts) if facts else text


def choose_language(asked: str | None, kept: str | None, accepted: str) -> str:
    """Chinese or English: the link's word, else the cookie's, else the browser's first liking.

    >>> choose_language(None, None, "en-GB,zh;q=0.5")
    'en'
    """
    for given in (asked, kept):
        if given in LANGUAGES:
            return given
    first = accepted.split(",", 1)[0].strip().lower()
    return "en" if first.startswith("en") else "zh"
