"""The spool: whole files, named by number alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols import DecodeError
from services.runtime.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", tmp_path / "dead", tmp_path / "first", keep_first=5)


def test_a_message_comes_back_as_it_went(spool: Spool) -> None:
    spool.write(7, [b"HF\x01", b"header", memoryview(b"pixels")])
    assert [bytes(part) for part in spool.read(7)] == [b"HF\x01", b"header", b"pixels"]


def test_a_closed_frame_is_gone_and_may_be_closed_again(spool: Spool) -> None:
    spool.write(7, [b"x"])
    spool.close(7, failed=False)
    spool.close(7, failed=False)
    with pytest.raises(OSError, match="No such file"):
        spool.read(7)


def test_a_dead_letter_is_kept_beside(spool: Spool, tmp_path: Path) -> None:
    spool.write(7, [b"x"])
    spool.close(7, failed=True)
    spool.close(8, failed=True)
    assert [path.name for path in (tmp_path / "dead").iterdir()] == ["000000000007.hf"]


def test_the_first_frames_are_kept_for_the_pictures(spool: Spool, tmp_path: Path) -> None:
    for seq in (4, 5):
        spool.write(seq, [b"x"])
        spool.close(seq, failed=False)
    assert [path.name for path in (tmp_path / "first").iterdir()] == ["000000000004.hf"]


def test_what_is_here_is_counted_also_by_the_next_to_come(spool: Spool, tmp_path: Path) -> None:
    for seq in range(3):
        spool.write(seq, [b"HF\x01", b"header", b"pixels"])
    one = spool.bytes // 3
    spool.close(0, failed=False)
    spool.close(0, failed=False)
    spool.close(1, failed=True)
    assert spool.bytes == one > 0
    again = Spool(tmp_path / "spool", tmp_path / "deadletter", tmp_path / "kept")
    assert again.bytes == one


def test_a_torn_file_is_named_wherever_it_is_cut(spool: Spool, tmp_path: Path) -> None:
    spool.write(7, [b"HF\x01", b"header"])
    (path,) = (tmp_path / "spool").iterdir()
    whole = path.read_bytes()
    part_ends = {0, 4 + 3}
    for length in set(range(len(whole))) - part_ends:
        path.write_bytes(whole[:length])
        with pytest.raises(DecodeError):
            spool.read(7)


def test_what_a_killed_writer_left_is_swept_up(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    (folder / "000000000001.partial").write_bytes(b"half")
    Spool(folder, tmp_path / "dead", tmp_path / "first")
    assert list(folder.iterdir()) == []
