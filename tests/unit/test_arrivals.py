"""Files that arrive in a folder, with a clock of our own."""

from __future__ import annotations

from pathlib import Path

from services.detectors.arrivals import Arrivals

PATIENCE_S = 30.0


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def arrivals(clock: Clock) -> Arrivals:
    return Arrivals(settle_s=2.0, patience_s=PATIENCE_S, clock=clock)


def test_a_file_is_looked_into_when_it_has_not_changed_for_a_while(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "a.png"
    files = arrivals(clock)
    path.write_bytes(b"1")
    assert files.see(path)
    clock.now += 1.9
    assert list(files.settled()) == []
    path.write_bytes(b"12")  # a slow writer goes on
    clock.now += 0.2
    assert list(files.settled()) == []
    clock.now += 1.9
    assert list(files.settled()) == []
    clock.now += 0.2
    assert list(files.settled()) == [(path, False)]


def test_a_file_is_taken_once_and_again_when_it_changes(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "a.png"
    files = arrivals(clock)
    path.write_bytes(b"1")
    files.see(path)
    files.taken(path)
    clock.now += 100
    assert not files.see(path)
    assert list(files.settled()) == []
    path.write_bytes(b"12")
    assert files.see(path)
    clock.now += 3
    assert list(files.settled()) == [(path, False)]


def test_what_cannot_be_read_is_looked_into_when_it_changes_and_for_a_last_time(
    tmp_path: Path,
) -> None:
    clock, path = Clock(), tmp_path / "a.png"
    files = arrivals(clock)
    path.write_bytes(b"1")
    files.see(path)
    clock.now += 3
    assert list(files.settled()) == [(path, False)]
    files.unreadable(path)
    clock.now += 3
    assert list(files.settled()) == []
    path.write_bytes(b"12")
    assert list(files.settled()) == []
    clock.now += 3
    assert list(files.settled()) == [(path, False)]
    files.unreadable(path)
    clock.now += PATIENCE_S
    assert list(files.settled()) == [(path, True)]


def test_a_ser_waits_for_its_emi_but_not_for_ever(tmp_path: Path) -> None:
    clock, ser = Clock(), tmp_path / "a_1.ser"
    files = arrivals(clock)
    ser.write_bytes(b"1")
    files.see(ser)
    clock.now += 20
    assert list(files.settled()) == []
    (tmp_path / "a.emi").write_bytes(b"1")
    assert list(files.settled()) == []  # which is being written now
    clock.now += 3
    assert list(files.settled()) == [(ser, False)]
    (tmp_path / "a.emi").unlink()
    clock.now += PATIENCE_S
    assert list(files.settled()) == []  # a change too
    clock.now += PATIENCE_S
    assert list(files.settled()) == [(ser, True)]


def test_a_file_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "a.png"
    files = arrivals(clock)
    path.write_bytes(b"1")
    files.see(path)
    path.rename(tmp_path / "b.png")
    clock.now += 3
    assert list(files.settled()) == []
    assert len(files) == 0
