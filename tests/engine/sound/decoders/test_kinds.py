"""What the refusal of a file says it is, by files as their programs write them."""

from __future__ import annotations

import gzip
import sqlite3
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from engine.sound.decoders.base import Undecodable
from engine.sound.decoders.kinds import refusal
from engine.sound.decoders.opening import OpenFile


def audacity_project(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA application_id = 1096107097")  # 'AUDY', as Audacity 3 sets it
        database.execute("CREATE TABLE project (id INTEGER PRIMARY KEY, doc BLOB)")
    database.close()


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE project (id INTEGER PRIMARY KEY)")
    database.close()


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "text")


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as file:
        file.add(__file__, "a.py")


def picture(kind: str):
    def write(path: Path) -> None:
        from matplotlib import image

        image.imsave(path, [[0.0, 1.0]], format=kind)

    return write


MIDI = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk\x00\x00\x00\x04\x00\xff\x2f\x00"
OLD = '<?xml version="1.0"?>\n<project xmlns="http://audacity.sourceforge.net/xml/" rate="44100">'


@pytest.mark.parametrize(
    ("make", "called", "remedy"),
    [
        (lambda p: p.write_text("once upon a time\n" * 99), "a text file", "choose"),
        (lambda p: p.write_text("Zoë\n" * 99_999), "a text file", "choose"),
        (lambda p: p.write_text("Zoë\n", encoding="utf-16"), "a text file", "choose"),
        (lambda p: p.write_text("\n <!DOCTYPE html><p>404"), "a web page", "download"),
        (lambda p: p.write_text("#EXTM3U\na.mp3\n"), "a playlist", "that it lists"),
        (lambda p: p.write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), "a PDF document", "choose"),
        (picture("png"), "a PNG picture", "choose"),
        (picture("jpeg"), "a JPEG picture", "choose"),
        (archive, "a ZIP archive", "unpack it"),
        (tar, "a tar archive", "unpack it"),
        (lambda p: p.write_bytes(gzip.compress(b"x")), "a gzip archive", "unpack it"),
        (lambda p: p.write_bytes(MIDI), "a MIDI file, which holds notes", "render it to WAV"),
        (audacity_project, "an Audacity project", "open it in Audacity and export"),
        (lambda p: p.write_text(OLD), "an Audacity project", "open it in Audacity and export"),
        (other_database, "an SQLite database", "choose"),
        (
            lambda p: p.write_text("<REAPER_PROJECT 0.1 '7.0/linux' 1700000000\n>\n"),
            "a REAPER project",
            "open it in REAPER and export",
        ),
        (lambda p: p.write_bytes(b"\x00\x00\x01\xba" + bytes(99)), "an MPEG video", "ffmpeg -i"),
        (
            lambda p: p.write_bytes((b"G\x40\x00\x10" + b"\xff" * 184) * 9),
            "an MPEG transport stream",
            "ffmpeg -i",
        ),
    ],
)
def test_it_says_what_the_file_is_and_what_to_do(make, called, remedy, tmp_path):
    make(path := tmp_path / "song.wav")
    with pytest.raises(Undecodable) as caught:
        OpenFile(path, follow=True)
    assert str(caught.value).startswith(f"is {called}")
    assert "not an audio file: " in str(caught.value)
    assert remedy in str(caught.value)
    assert str(caught.value).endswith(".")


def test_zeros_are_a_loss_and_the_unknown_stays_unknown(tmp_path):
    (path := tmp_path / "x.wav").write_bytes(bytes(100_000))
    with pytest.raises(Undecodable, match=r"nothing but zero bytes.*copy it again"):
        OpenFile(path, follow=True)
    assert refusal(b"\x9c\x01\xfe\x88" * 999).startswith("is not an audio file that Tweeze knows")
    # A character that the end of what is looked at cuts in two does not make a text unknown.
    assert refusal(b"a" * 65_535 + "ë".encode()).startswith("is a text file")
