"""What a file is that no decoder reads, told by its first bytes, and what makes sound of it."""

from __future__ import annotations

from engine.sound.decoders.base import Bytes

__all__ = ["refusal"]

_LOOKED_AT = 1 << 16  # bytes of the start
_CHOOSE = "choose an audio file"
_UNPACK = "unpack it and choose an audio file in it"
_RENDER = "render it to WAV in the program that made it"
_MIX = "open it in {} and export the audio as WAV"
_CONVERT = "'ffmpeg -i FILE sound.wav' writes its sound to a WAV file"
_UNKNOWN = (
    "is not an audio file that Tweeze knows: export it as WAV, AIFF or FLAC from the program that "
    "made it, or try 'ffmpeg -i FILE sound.wav'."
)
_SQLITE = b"SQLite format 3\x00"

# (offset, bytes, what people call it, what to do). The longer signature of two stands first.
_KINDS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"%PDF-", "a PDF document", _CHOOSE),
    (0, b"\xff\xd8\xff", "a JPEG picture", _CHOOSE),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture", _CHOOSE),
    (0, b"GIF8", "a GIF picture", _CHOOSE),
    (0, b"II*\x00", "a TIFF picture", _CHOOSE),
    (0, b"MM\x00*", "a TIFF picture", _CHOOSE),
    (8, b"WEBP", "a WebP picture", _CHOOSE),
    (0, b"MThd", "a MIDI file, which holds notes and no sound", _RENDER),
    (8, b"RMID", "a MIDI file, which holds notes and no sound", _RENDER),
    (0, b"FLhd", "an FL Studio project", _MIX.format("FL Studio")),
    (0, b"<REAPER_PROJECT", "a REAPER project", _MIX.format("REAPER")),
    (68, b"AUDY", "an Audacity project", _MIX.format("Audacity")),
    (0, _SQLITE, "an SQLite database", _CHOOSE),
    (0, b"PK\x03\x04", "a ZIP archive or an office document", _UNPACK),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (0, b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document", _CHOOSE),
    (0, b"\x7fELF", "a program", _CHOOSE),
    (0, b"MZ", "a program", _CHOOSE),
    (0, b"\x00\x00\x01\xba", "an MPEG video", _CONVERT),
    (0, b"\x00\x00\x01\xb3", "an MPEG video", _CONVERT),
    (0, b".RMF", "a RealMedia file", _CONVERT),
)
# Texts: how they begin (in lower case, white space before it left out), the same.
_TEXTS: tuple[tuple[bytes, str, str], ...] = (
    (b"<!doctype html", "a web page", "download the recording itself"),
    (b"<html", "a web page", "download the recording itself"),
    (b"#extm3u", "a playlist", "choose a recording that it lists"),
    (b"[playlist]", "a playlist", "choose a recording that it lists"),
    (b"{\\rtf", "a text document", _CHOOSE),
)
_OLD_AUDACITY = b"audacity.sourceforge.net/xml"
_PACKET = 188  # bytes of a packet of an MPEG transport stream, each of which begins with a 'G'


def refusal(data: Bytes) -> str:
    """Return why a file that no decoder knows is refused, in words that can follow its name."""
    start = data[:_LOOKED_AT]
    if not start.strip(b"\x00"):
        return "holds nothing but zero bytes, so its content was lost: copy it again."
    called, remedy = _kind(start)
    return f"is {called}, not an audio file: {remedy}." if called else _UNKNOWN


def _kind(start: bytes) -> tuple[str, str]:
    for offset, magic, called, remedy in _KINDS:
        if start[offset : offset + len(magic)] == magic and (
            magic != b"AUDY" or start.startswith(_SQLITE)
        ):
            return called, remedy
    if len(start) > 2 * _PACKET and start[: 3 * _PACKET : _PACKET] == b"GGG":
        return "an MPEG transport stream", _CONVERT
    if not _is_text(start):
        return "", ""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for opening, called, remedy in _TEXTS:
        if text.startswith(opening):
            return called, remedy
    if _OLD_AUDACITY in text[:1000]:
        return "an Audacity project", _MIX.format("Audacity")
    return "a text file", _CHOOSE


def _is_text(start: bytes) -> bool:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
        start = start[: len(start) // 2 * 2]
    else:
        encoding = "utf-8"
    try:
        text = start.decode(encoding)
    except UnicodeDecodeError as error:
        if error.end < len(start) or len(start) < _LOOKED_AT:  # else the end cuts a character
            return False
        text = start[: error.start].decode(encoding)
    return all(c.isprintable() or c in "\t\n\r\f" for c in text)
