"""The index by which ReaPack, REAPER's package manager, finds Tweeze's scripts.

    python -m reaper.reapack URL [--index index.xml]

`URL` is where the folder `reaper` of a released version lies on the web and will stay, of its tag,
say; the index is written, or the version is put in beside those that it lists. The facts come out
of the header of the main script. The forms of header and index are those that ReaPack's own
`reapack-index` reads and writes (https://github.com/cfillion/reapack-index/wiki).
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from engine.errors import BadInput, TweezeError

__all__ = ["CATEGORY", "MAIN", "NAME", "File", "Header", "index", "read_header"]

NAME = "Tweeze"
"""What ReaPack calls the repository; its scripts lie in a folder of that name."""
CATEGORY = "Separation"
MAIN = "Tweeze - separate selection.lua"

_SOURCES = Path(__file__).parent
_TAG = re.compile(r"--\s?@(\w+)(?:\s+(.*\S))?\s*")
_MORE = re.compile(r"--\s{2,}(.*\S)\s*")
_PROVIDED = re.compile(r"\[(main|nomain)\]\s+(\S.*)")
_SINGLE = ("description", "author", "version", "noindex")
_VERSION = re.compile(r"\d[\w.]*")
_SHA256 = "1220"  # the multihash of 32 bytes of SHA-256 begins so


@dataclass(frozen=True)
class File:
    """A file of the package, by its path from the main script; `main` ones become actions."""

    path: str
    main: bool


@dataclass(frozen=True)
class Header:
    """What the comment at the top of a package's main script says."""

    description: str
    author: str
    version: str
    files: tuple[File, ...]
    changelog: str
    about: str


def read_header(script: Path) -> Header:
    """Read the header of a package's main script.

    Raises
    ------
    BadInput
        It breaks a rule: a tag is missing, unknown, or there twice; the version begins with no
        digit; a file that is provided does not exist; there is a gap between the tags.

    """
    tags: dict[str, list[str]] = {}
    name = ""
    for line in _header_lines(script):
        tag, more = _TAG.fullmatch(line), _MORE.fullmatch(line)
        if tag:
            name = tag[1]
            if name in tags:
                raise _broken(script, f"names '@{name}' twice")
            tags[name] = [tag[2]] if tag[2] else []
        elif more and name and name not in _SINGLE:
            tags[name].append(more[1])
        else:
            raise _broken(script, f"has a line that belongs to no tag ('{line}')")
    known = {*_SINGLE, "provides", "changelog", "about"} - {"noindex"}
    if strange := tags.keys() - known:
        raise _broken(script, f"has the tag '@{min(strange)}', which is not among those it may")
    for needed in ("description", "author", "version", "provides"):
        if not tags.get(needed):
            raise _broken(script, f"lacks '@{needed}'")
    version = tags["version"][0]
    if not _VERSION.fullmatch(version):
        raise _broken(script, f"has the version '{version}', which must begin with a digit")
    return Header(
        description=tags["description"][0],
        author=tags["author"][0],
        version=version,
        files=tuple(_provided(script, tags["provides"])),
        changelog="\n".join(tags.get("changelog", [])),
        about="\n".join(tags.get("about", [])),
    )


def _header_lines(script: Path) -> Iterator[str]:
    """Yield the lines of the comment that a script begins with."""
    for line in script.read_text(encoding="utf-8").splitlines():
        if not line.startswith("--"):
            return
        yield line


def _provided(script: Path, rows: list[str]) -> Iterator[File]:
    seen: set[str] = set()
    for row in rows:
        match = _PROVIDED.fullmatch(row)
        if match is None:
            raise _broken(script, f"provides '{row}', which is not of the form '[main] FILE'")
        kind, pattern = match[1], match[2]
        found = [script] if pattern == "." else sorted(script.parent.glob(pattern))
        if not found:
            raise _broken(script, f"provides '{pattern}', and there is no such file")
        for path in found:
            name = path.relative_to(script.parent).as_posix()
            if name in seen:
                raise _broken(script, f"provides '{name}' twice")
            seen.add(name)
            yield File(name, kind == "main")


def _broken(script: Path, how: str) -> BadInput:
    return BadInput(f"The header of {script} {how}: see the conventions in reaper/reapack.py.")


def index(url: str, when: datetime, known: str = "", *, script: Path = _SOURCES / MAIN) -> str:
    """Return the index (XML) with the version that `script` is of.

    Parameters
    ----------
    url
        The address of the folder that holds the scripts of this version.
    when
        When the version was released.
    known
        The index so far; its other versions stay.
    script
        The package's main script.

    Raises
    ------
    BadInput
        The address is none of the web, `known` is no such index, or the header breaks a rule.

    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise BadInput(f"'{url}' is no address of the web: begin it with 'https://'.")
    header = read_header(script)
    root = _known(known) if known else ElementTree.Element("index", version="1", name=NAME)
    category = _child(root, "category", CATEGORY)
    package = _child(category, "reapack", script.name)
    package.set("type", "script")
    package.set("desc", header.description)
    for old in package.findall("metadata"):
        package.remove(old)
    if header.about:
        metadata = ElementTree.Element("metadata")
        ElementTree.SubElement(metadata, "description").text = _rich(header.about)
        package.insert(0, metadata)
    for old in package.findall("version"):
        if old.get("name") == header.version:
            package.remove(old)
    version = ElementTree.SubElement(
        package,
        "version",
        name=header.version,
        author=header.author,
        time=f"{when.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
    )
    if header.changelog:
        ElementTree.SubElement(version, "changelog").text = header.changelog
    for file in header.files:
        facts = {} if file.path == script.name else {"file": file.path}
        if file.main:
            facts["main"] = "main"
        digest = hashlib.sha256((script.parent / file.path).read_bytes()).hexdigest()
        source = ElementTree.SubElement(version, "source", facts, hash=_SHA256 + digest)
        source.text = f"{url.rstrip('/')}/{quote(file.path)}"
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _known(text: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise BadInput(f"The index so far is no XML ({error}): move it away.") from error
    if root.tag != "index" or root.get("version") != "1" or root.get("name") != NAME:
        raise BadInput("The index so far is none of Tweeze's: name another file.")
    return root


def _child(parent: ElementTree.Element, tag: str, name: str) -> ElementTree.Element:
    for child in parent.findall(tag):
        if child.get("name") == name:
            return child
    return ElementTree.SubElement(parent, tag, name=name)


def _rich(about: str) -> str:
    """Return a text in the Rich Text Format, which is what ReaPack shows; '# ' makes a title."""
    rows = []
    for line in about.split("\n"):
        plain = re.sub(r"([\\{}])", r"\\\1", line.removeprefix("# "))
        plain = "".join(c if c.isascii() else f"\\u{ord(c)}?" for c in plain)
        rows.append(f"{{\\b\\fs32 {plain}\\par}}" if line.startswith("# ") else f"{plain}\\line")
    return "{\\rtf1\\ansi\\deff0{\\fonttbl{\\f0 Arial;}}\\fs22\n" + "\n".join(rows) + "\n}"


def main() -> None:
    """Write the index from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", help="where the folder 'reaper' of this version lies on the web")
    parser.add_argument("--index", type=Path, default=Path("index.xml"))
    given = parser.parse_args()
    try:
        known = given.index.read_text("utf-8") if given.index.exists() else ""
        text = index(given.url, datetime.now(timezone.utc), known)
        given.index.write_text(text, encoding="utf-8")
    except (TweezeError, OSError) as error:
        sys.exit(str(error))
    print(f"{given.index} lists Tweeze {read_header(_SOURCES / MAIN).version}.")


if __name__ == "__main__":
    main()
