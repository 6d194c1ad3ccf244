"""The flusher: a batch after so many frames or so long, its images with the next."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.runtime import durable
from services.runtime.durable import BATCH_FRAMES, BATCH_S, Flusher, flush


class Disk:
    """Notes what is flushed, and lets the test decide when it is done."""

    def __init__(self) -> None:
        self.flushed: list[str] = []
        self.free = threading.Event()
        self.free.set()
        self.more = threading.Event()
        self.error: OSError | None = None

    def flush(self, path: Path) -> None:
        assert self.free.wait(10)
        if self.error is not None:
            raise self.error
        self.flushed.append(path.name)
        self.more.set()

    def waits_for(self, names: list[str]) -> None:
        while len(self.flushed) < len(names):
            assert self.more.wait(10)
            self.more.clear()
        assert self.flushed == names


class Clock:
    """Seconds, as the test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(durable, "flush", disk.flush)
    return disk


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def flusher(clock: Clock) -> Iterator[Flusher]:
    flusher = Flusher((Path("folder"), Path("log")), clock=clock)
    yield flusher
    flusher.close()


def test_a_batch_is_flushed_after_its_time_and_its_images_after_as_long_again(
    disk: Disk, flusher: Flusher, clock: Clock
) -> None:
    flusher.turn()
    flusher.wrote([Path("a"), Path("b")], 2)
    clock.now = BATCH_S / 2
    flusher.wrote([Path("c")], 1)
    flusher.turn()
    assert flusher.batches == 0
    clock.now = BATCH_S
    flusher.turn()
    assert flusher.batches == 1
    clock.now = 2 * BATCH_S
    disk.waits_for(["folder", "log"])
    flusher.turn()
    assert flusher.batches == 2
    disk.waits_for(["folder", "log", "a", "b", "c", "folder", "log"])
    clock.now = 3 * BATCH_S
    flusher.turn()
    assert flusher.batches == 2, "nothing is left"


def test_a_full_batch_is_flushed_at_once_also_without_images(disk: Disk, flusher: Flusher) -> None:
    flusher.wrote([], BATCH_FRAMES)
    flusher.turn()
    assert flusher.batches == 1
    flusher.close()
    assert disk.flushed == ["folder", "log"]


def test_what_is_not_flushed_is_flushed_when_it_is_closed(disk: Disk, flusher: Flusher) -> None:
    flusher.wrote([Path("a")], BATCH_FRAMES)
    flusher.turn()
    flusher.wrote([Path("b")], 1)
    flusher.close()
    assert disk.flushed == ["folder", "log", "a", "b", "folder", "log"]


def test_while_a_batch_is_being_flushed_one_more_may_fill_and_then_is_waited_for(
    disk: Disk, flusher: Flusher, clock: Clock
) -> None:
    disk.free.clear()
    flusher.wrote([Path("a")], BATCH_FRAMES)
    flusher.turn()
    flusher.wrote([Path("b")], 1)
    clock.now = 10 * BATCH_S
    flusher.turn()
    assert flusher.batches == 1, "it waits for its turn, and nobody waits for it"
    flusher.wrote([Path("c")], BATCH_FRAMES)
    waits = threading.Thread(target=flusher.turn)
    waits.start()
    assert flusher.batches == 1
    disk.free.set()
    waits.join(10)
    assert flusher.batches == 2
    flusher.close()
    assert disk.flushed == ["folder", "log", "a", "folder", "log", "b", "c", "folder", "log"]


def test_what_the_disk_says_is_said_once_and_the_next_batch_is_flushed(
    disk: Disk, flusher: Flusher
) -> None:
    disk.error = OSError(5, "Input/output error")
    flusher.wrote([Path("a")], BATCH_FRAMES)
    flusher.turn()
    flusher.wrote([Path("b")], BATCH_FRAMES)
    with pytest.raises(OSError, match="Input/output error"):
        flusher.turn()
    disk.error = None
    flusher.turn()
    flusher.close()
    assert disk.flushed == ["a", "folder", "log", "b", "folder", "log"]


def test_files_and_folders_are_flushed_and_what_is_gone_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    for path in (file, tmp_path, tmp_path / "gone"):
        flush(path)
