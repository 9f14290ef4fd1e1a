"""The files of the page, read once. Their path has a hash of all of them, so browsers may keep them.

Browsers get them without their comments, which are a fifth of the first view, and with the same line numbers.
"""

import gzip
import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Self

WEB = Path(__file__).parents[2] / "web"
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Files of other types, such as declarations of types, are not for browsers."""
_HASH_CHARS = 16
_MAIN = "js/main.js"
_IMPORT = re.compile(rb'^(?:import|export)\b(?:[^;"]*?\bfrom)?\s*"(\.{1,2}/[^"]+)"', re.MULTILINE)
"""An import that a module cannot run without. Those of `import()` are loaded when a person opens their page."""
_VENDOR = "vendor/"
_COMMENT = re.compile(rb"^[ \t]*(?:/\*(?:(?!\*/).)*\*/|//[^\n]*)[ \t]*$", re.MULTILINE | re.DOTALL)
"""A comment that has its lines to itself."""


@dataclass(frozen=True)
class Asset:
    body: bytes
    content_type: str

    @cached_property
    def compressed(self) -> bytes:
        """The body for clients that accept gzip."""
        return gzip.compress(self.body, mtime=0)


@dataclass(frozen=True, slots=True)
class Assets:
    files: Mapping[str, Asset]
    """By path, relative to the folder."""
    hash: str
    """Changes with every byte of every file."""
    page: bytes
    """The HTML document, with the path of the files in it."""

    @classmethod
    @cache
    def read(cls, folder: Path = WEB) -> Self:
        files = {
            name: Asset(body if name.startswith(_VENDOR) else _without_comments(body), _CONTENT_TYPES[path.suffix])
            for path in sorted(folder.rglob("*"))
            if path.suffix in _CONTENT_TYPES
            for name, body in [(path.relative_to(folder).as_posix(), path.read_bytes())]
        }
        page = (folder / "index.html").read_bytes()
        digest = hashlib.sha256(page)
        for name, asset in files.items():
            digest.update(f"\0{name}\0{len(asset.body)}\0".encode())
            digest.update(asset.body)
        found = digest.hexdigest()[:_HASH_CHARS]
        assets = cls(files, found, b"")
        links = (f'<link rel="modulepreload" href="{{assets}}/{name}">' for name in assets.imported_by(_MAIN))
        page = page.replace(b"{preloads}", "\n    ".join(links).encode())
        return replace(assets, page=page.replace(b"{assets}", f"static/{found}".encode()))

    def imported_by(self, name: str) -> list[str]:
        """A module and all that it needs. A browser that loads them at once need not read one to learn of the next."""
        found = [name]
        for each in found:
            for path in _IMPORT.findall(self.files[each].body):
                imported = posixpath.normpath(posixpath.join(posixpath.dirname(each), path.decode()))
                if imported not in found:
                    found.append(imported)
        return found


def _without_comments(body: bytes) -> bytes:
    return _COMMENT.sub(lambda comment: b"\n" * comment[0].count(b"\n"), body)
