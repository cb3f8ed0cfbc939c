"""A file sink: whole lines, on the disk, below its directory, whatever was there before."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from pathlib import Path

import pytest

from crawler.definition import Sink
from crawler.delivery.files import append
from crawler.delivery.records import Parcel
from crawler.errors import DeliveryFailed

SINK = Sink(name="disk", kind="file", path="daily/items.jsonl")


def parcel(*lines: bytes) -> Parcel:
    return Parcel("id", "shop", tuple(line + b"\n" for line in lines))


def goal(directory: Path) -> Path:
    return directory / "shop" / "daily" / "items.jsonl"


def test_parcels_stand_one_behind_the_other(tmp_path: Path) -> None:
    append(tmp_path, SINK, parcel(b"1", b"2"))
    append(tmp_path, SINK, parcel(b"3"))
    assert goal(tmp_path).read_bytes() == b"1\n2\n3\n"
    assert goal(tmp_path).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("before", "kept"),
    [(b"1\n2", b"1\n"), (b"torn", b""), (b"1\n" + b"x" * 200_000, b"1\n"), (b"1\n", b"1\n")],
)
def test_what_a_crash_left_of_a_line_is_cut_off(before: bytes, kept: bytes, tmp_path: Path) -> None:
    append(tmp_path, SINK, parcel(b"0"))
    goal(tmp_path).write_bytes(before)
    append(tmp_path, SINK, parcel(b"new"))
    assert goal(tmp_path).read_bytes() == kept + b"new\n"


def test_a_file_that_another_writes_is_left_alone(tmp_path: Path) -> None:
    append(tmp_path, SINK, parcel(b"1"))
    with goal(tmp_path).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DeliveryFailed, match="another process") as failed:
            append(tmp_path, SINK, parcel(b"2"))
    assert not failed.value.refused
    assert goal(tmp_path).read_bytes() == b"1\n"


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    append(tmp_path, SINK, parcel(b"1"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(DeliveryFailed, match="cannot be written"):
            append(tmp_path, SINK, parcel(b"x" * 5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert goal(tmp_path).read_bytes() == b"1\n"


@pytest.mark.threat(20)
def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    append(tmp_path, SINK, parcel(b"1"))
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine\n")
    goal(tmp_path).unlink()
    os.symlink(outside, goal(tmp_path))
    with pytest.raises(DeliveryFailed):
        append(tmp_path, SINK, parcel(b"2"))
    assert outside.read_bytes() == b"mine\n"
