"""The source and the detector's client over real sockets: accepted once, sent until closed."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import cv2
import msgspec
import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

from protocols import Buffer, decode, encode, split_parts
from protocols.messages import (
    Accepted,
    Closed,
    Failed,
    Metadata,
    Offer,
    Refused,
    Started,
    SurveyImage,
)
from services.dead_letters import DeadLetters, NotReplayed
from services.detectors.client import Detector, NotAccepted
from services.detectors.files import ReadImage, ReadLimits, read_reference
from services.files_run import FilesRun
from services.files_run import accept_files as accept_run
from services.reception import OFFERS_A_TURN
from services.results import ResultStore, Writer
from services.runtime.endpoints import Inlet, Outlet, Requester
from services.runtime.ledger import Ledger, NewFrame
from services.runtime.places import Places
from services.runtime.spool import name_of
from services.runtime.topology import Topology
from services.source import Source
from tests.helpers.hostile_wire import HOSTILE

from .conftest import until

IMAGE = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32)


class Around:
    """A source with its detector, its chain and its sink in the test's hands."""

    def __init__(self, topology: Topology, places: Places) -> None:
        offers = topology.sink.results.replace("results", "offers")
        source = msgspec.structs.replace(topology.source, offers=offers, window_frames=4)
        self.topology = msgspec.structs.replace(topology, source=source)
        self.places = places
        self.offers = offers
        self.now = 1000.0
        self.gate = Inlet(topology.stage[0].frames)
        self.sink = Inlet(topology.sink.results)
        self.acknowledge = Outlet(topology.source.closed)
        self.source = self.start()
        self.frames: list[SurveyImage] = []
        self.failed: list[Failed] = []

    def start(self) -> Source:
        return Source(self.topology, self.places, clock=lambda: self.now)

    def restart(self) -> None:
        self.source.close()
        self.source = self.start()

    def turn(self) -> None:
        self.source.step()
        while (parts := self.gate.receive()) is not None:
            self.frames.append(decode(parts, expect=(SurveyImage,)))
        while (parts := self.sink.receive()) is not None:
            self.failed.append(decode(parts, expect=(Failed,)))

    def until(self, done: Callable[[], object]) -> None:
        until(done, self.turn)

    def close_frames(self, *seqs: int, kind: Literal["located", "failed"] = "located") -> None:
        outcomes = tuple(kind for _ in seqs)
        self.say(Closed(run=self.source.ledger.run, seqs=seqs, outcomes=outcomes))

    def say(self, message: Closed | Started) -> None:
        until(lambda: self.acknowledge.send(encode(message)), self.turn)

    def send_in_thread(self, count: int, *, window: int = 8) -> threading.Thread:
        def work() -> None:
            with Detector(self.offers, name="camera", window=window) as detector:
                for number in range(count):
                    detector.send(IMAGE + number, composition="Au40Ag60", pixel_size_nm=0.1)

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def answers(self, *offers: Offer) -> list[Accepted | Refused]:
        """Offer, one after the other, and return what came back."""
        detector = Requester(self.offers)
        answers: list[Accepted | Refused] = []

        def look() -> None:
            self.turn()
            parts = detector.receive()
            if parts is not None:
                answers.append(decode(parts, expect=(Accepted, Refused)))

        try:
            for count, offer in enumerate(offers, 1):
                detector.send(encode(offer))
                until(lambda: len(answers) == count, look)  # noqa: B023 - called at once
        finally:
            detector.close(0)
        return answers

    def stop(self) -> None:
        self.source.close()
        for end in (self.gate, self.sink, self.acknowledge):
            end.close(0)


@pytest.fixture
def around(topology: Topology, places: Places) -> Iterator[Around]:
    around = Around(topology, places)
    yield around
    around.stop()


def accept_files(places: Places, *paths: Path) -> None:
    with Ledger(places.ledger) as ledger:
        ledger.accept(
            NewFrame(str(p), Metadata(parent_id=p.name, source=str(p)), str(p)) for p in paths
        )


def joined(thread: threading.Thread) -> None:
    thread.join(10)
    assert not thread.is_alive(), "the detector still waits"


def test_what_a_detector_sends_goes_into_the_chain_as_it_was(around: Around) -> None:
    thread = around.send_in_thread(3)
    around.until(lambda: len(around.frames) == 3)
    joined(thread)
    for number, frame in enumerate(around.frames):
        assert np.array_equal(frame.image, IMAGE + number)
        assert frame.image.dtype == IMAGE.dtype
        assert frame.envelope.metadata.n_elements == 2
        assert frame.envelope.metadata.composition_from == "sender"


def test_no_more_than_the_window_is_in_the_chain(around: Around) -> None:
    thread = around.send_in_thread(9)
    around.until(lambda: around.source.accepted == 9 and len(around.frames) == 4)
    for _ in range(20):
        around.turn()
    assert len(around.frames) == 4
    around.close_frames(0, 1)
    around.until(lambda: len(around.frames) == 6)
    around.close_frames(2, 3, 4, 5)
    around.until(lambda: len(around.frames) == 9)
    around.close_frames(6, 7, 8)
    around.until(lambda: around.source.drained)
    joined(thread)
    assert not list(around.places.spool.iterdir())
    assert len(list(around.places.keepsakes.iterdir())) == 9


def test_a_restarted_source_sends_again_what_is_open(around: Around) -> None:
    thread = around.send_in_thread(3)
    around.until(lambda: len(around.frames) == 3)
    joined(thread)
    around.close_frames(1)
    around.until(lambda: around.source.open == 2)
    around.frames.clear()
    around.restart()
    around.until(lambda: len(around.frames) == 2)
    assert [(f.envelope.seq, f.envelope.attempt) for f in around.frames] == [(0, 2), (2, 2)]
    (setback,) = around.frames[0].envelope.past
    assert setback.how == "sent again: the source was started again"
    assert np.array_equal(around.frames[1].image, IMAGE + 2)


def test_a_new_epoch_of_a_known_service_brings_everything_again(around: Around) -> None:
    around.say(Started(service="boxing.queue", epoch="one"))
    thread = around.send_in_thread(2)
    around.until(lambda: len(around.frames) == 2)
    joined(thread)
    around.say(Started(service="boxing.queue", epoch="two"))
    around.until(lambda: len(around.frames) == 4)
    assert [f.envelope.attempt for f in around.frames] == [1, 1, 2, 2]
    (setback,) = around.frames[2].envelope.past
    assert setback.how == "sent again: boxing.queue started again"


def test_a_first_epoch_brings_nothing_again(around: Around) -> None:
    thread = around.send_in_thread(2)
    around.until(lambda: len(around.frames) == 2)
    around.say(Started(service="sink", epoch="one"))
    around.close_frames(0, 1)
    around.until(lambda: around.source.drained)
    joined(thread)
    assert len(around.frames) == 2


def test_silence_brings_everything_again(around: Around) -> None:
    thread = around.send_in_thread(1)
    around.until(lambda: around.frames)
    joined(thread)
    around.now += 31
    around.until(lambda: len(around.frames) == 2)
    assert around.frames[1].envelope.attempt == 2


def offer(
    number: int, image: NDArray[np.uint16] = IMAGE, metadata: Mapping[str, object] | None = None
) -> Offer:
    known = Metadata(parent_id=f"p{number}", source="camera", **(metadata or {}))  # type: ignore[arg-type]
    return Offer(session="s", offer=number, metadata=known, image=image)


def test_an_offer_that_comes_twice_is_accepted_once(around: Around) -> None:
    first, second = around.answers(offer(1), offer(1))
    assert first == second
    assert around.source.accepted == 1


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"composition": "Xx50Au50"}, "Xx"),
        ({"composition": "Au50Ag50", "n_elements": 3}, "n_elements"),
    ],
)
def test_metadata_that_cannot_be_right_is_refused_by_name(
    around: Around, metadata: dict[str, object], complaint: str
) -> None:
    (answer,) = around.answers(offer(7, metadata=metadata))
    assert isinstance(answer, Refused)
    assert answer.offer == 7
    assert complaint in answer.reason
    assert around.source.accepted == 0


def test_a_full_disk_refuses_by_name_and_accepts_later(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_seq: int, _parts: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(around.source._spool, "write", full)
        refused: list[str] = []

        def work() -> None:
            with Detector(around.offers) as detector:
                detector.send(IMAGE)
                detector.flush()
                refused.extend(refusal.reason for refusal in detector.refusals)

        thread = threading.Thread(target=work)
        thread.start()
        around.until(lambda: not thread.is_alive())
    assert "No space left" in refused[0]
    assert around.source.accepted == 0
    thread = around.send_in_thread(1)
    around.until(lambda: around.frames)
    joined(thread)


def test_files_are_read_in_order_and_unreadable_ones_are_dead_letters(
    topology: Topology, places: Places, tmp_path: Path
) -> None:
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    cv2.imwrite(str(good), IMAGE)
    bad.write_text("hello")
    accept_files(places, good, bad, tmp_path / "missing.png")
    around = Around(topology, places)
    around.until(lambda: len(around.failed) == 2 and around.frames)
    assert np.array_equal(around.frames[0].image, IMAGE)
    assert [f.envelope.metadata.parent_id for f in around.failed] == ["b.png", "missing.png"]
    assert all(f.stage == "source" and f.reason for f in around.failed)
    around.stop()


def test_a_number_that_was_not_committed_keeps_no_image(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next frame gets the number, and has to get its own image with it."""
    real = around.source._spool.write

    def full_after_writing(seq: int, parts: Sequence[Buffer]) -> None:
        real(seq, parts)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(around.source._spool, "write", full_after_writing)
        (refused,) = around.answers(offer(1))
    assert isinstance(refused, Refused)
    around.answers(offer(2, IMAGE + 2))
    around.until(lambda: around.frames)
    assert around.frames[0].envelope.metadata.parent_id == "p2"
    assert np.array_equal(around.frames[0].image, IMAGE + 2)


def test_more_metadata_than_a_header_takes_is_refused_and_the_next_offer_flows(
    around: Around,
) -> None:
    too_much = {f"note {number}": "x" * 4096 for number in range(32)}
    refused, accepted = around.answers(offer(1, metadata={"extra": too_much}), offer(2))
    assert isinstance(refused, Refused)
    assert "bytes of metadata, expected at most 65536" in refused.reason
    assert isinstance(accepted, Accepted)
    around.until(lambda: around.frames)


def test_a_detector_that_ignores_its_window_is_made_to_wait(around: Around) -> None:
    """Its images wait in its own memory, not in the source's."""
    parts = encode(offer(1, np.zeros((256, 256), np.uint16)))
    with zmq.Context() as context, context.socket(zmq.DEALER) as greedy:
        greedy.linger = 0
        greedy.sndhwm = 1
        greedy.sndtimeo = 500
        greedy.connect(around.offers)
        taken = 0
        with contextlib.suppress(zmq.Again):
            while taken < 200:
                greedy.send_multipart(parts)
                taken += 1
    # 16 in the source's memory, and what the system's buffers hold.
    assert OFFERS_A_TURN <= taken < 100


def test_large_images_are_not_read_far_ahead(
    topology: Topology, places: Places, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.npy" for number in range(6)]
    for path in paths:
        np.save(path, np.zeros((1024, 1024), np.uint8))
    accept_files(places, *paths)
    source = msgspec.structs.replace(topology.source, window_bytes=2 * 2**20)
    around = Around(msgspec.structs.replace(topology, source=source), places)
    most = 0

    def turn() -> None:
        nonlocal most
        around.turn()
        most = max(most, len(around.source._intake._reading))

    for taken in range(6):
        until(lambda: len(around.frames) > taken, turn)  # noqa: B023 - called at once
        around.close_frames(taken)
    assert 1 <= most <= 2
    around.stop()


def test_a_file_whose_name_is_not_utf8_is_read(topology: Topology, places: Places) -> None:
    folder = places.out / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), IMAGE)
    (folder / "a.png").rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    run = FilesRun(paths=[folder], out=places.out)
    assert accept_run(run, places) == (1, 1)
    assert accept_run(run, places) == (1, 1)
    around = Around(topology, places)
    around.until(lambda: around.frames)
    assert np.array_equal(around.frames[0].image, IMAGE)
    assert "caf" in around.frames[0].envelope.metadata.parent_id
    around.stop()


def test_what_a_killed_source_left_in_the_spool_goes_where_it_belongs(around: Around) -> None:
    """Killed between the ledger's commit and the spool's clean-up."""
    around.answers(offer(1), offer(2), offer(3))
    around.source.ledger.close_frames([(0, "failed"), (1, "located")], sent_through=2)
    around.restart()
    assert [path.name for path in around.places.dead_letters.iterdir()] == [name_of(0)]
    assert [path.name for path in around.places.spool.iterdir()] == [name_of(2)]


def test_a_reader_that_breaks_buries_its_file_only(
    topology: Topology, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    for path in (good, bad):
        cv2.imwrite(str(path), IMAGE)

    def breaks(reference: str, *, limits: ReadLimits) -> ReadImage:
        if reference == str(bad):
            raise MemoryError("no 3 TiB here")
        return read_reference(reference, limits=limits)

    monkeypatch.setattr("services.intake.read_reference", breaks)
    accept_files(places, bad, good)
    around = Around(topology, places)
    around.until(lambda: around.failed and around.frames)
    assert around.failed[0].reason == "MemoryError: no 3 TiB here"
    assert "in breaks" in around.failed[0].traceback
    around.stop()


@pytest.fixture
def in_memory(topology: Topology, places: Places) -> Iterator[Around]:
    """A source that has no spool."""
    source = msgspec.structs.replace(topology.source, spool=False)
    found = Around(msgspec.structs.replace(topology, source=source), places)
    yield found
    found.stop()


def test_without_a_spool_an_offer_is_answered_when_its_frame_has_ended(in_memory: Around) -> None:
    around = in_memory
    thread = around.send_in_thread(2)
    around.until(lambda: len(around.frames) == 2)
    assert not list(around.places.spool.iterdir())
    assert thread.is_alive(), "accepted although the image is in memory only"
    around.close_frames(0, 1)
    around.until(lambda: not thread.is_alive())
    around.until(lambda: around.source.drained)
    assert around.source._intake.kept_frames == around.source._intake.kept_bytes == 0


def test_without_a_spool_a_frame_is_sent_again_from_memory(in_memory: Around) -> None:
    around = in_memory
    around.say(Started(service="boxing.queue", epoch="one"))
    thread = around.send_in_thread(2)
    around.until(lambda: len(around.frames) == 2)
    around.say(Started(service="boxing.queue", epoch="two"))
    around.until(lambda: len(around.frames) == 4)
    assert [f.envelope.attempt for f in around.frames] == [1, 1, 2, 2]
    assert len(around.frames[2].envelope.past) == 1
    assert np.array_equal(around.frames[2].image, IMAGE)
    around.close_frames(0, 1)
    around.until(lambda: not thread.is_alive())


def test_without_a_spool_a_restarted_source_waits_until_the_image_is_offered_again(
    in_memory: Around,
) -> None:
    around = in_memory
    detector = Requester(around.offers)
    detector.send(encode(offer(1)))
    around.until(lambda: around.frames)
    around.restart()
    around.frames.clear()
    assert around.source.open == 1
    detector.send(encode(offer(2, IMAGE + 2)))
    around.until(lambda: around.frames)
    assert [f.envelope.seq for f in around.frames] == [1]
    detector.send(encode(offer(1)))
    around.until(lambda: len(around.frames) == 2)
    again = around.frames[1]
    assert again.envelope.key[1] == 0
    assert np.array_equal(again.image, IMAGE)
    around.close_frames(0, 1)
    answers: list[Accepted] = []

    def look() -> None:
        around.turn()
        parts = detector.receive()
        if parts is not None:
            answers.append(decode(parts, expect=(Accepted,)))

    until(lambda: len(answers) == 2, look)
    assert sorted(answer.seq for answer in answers) == [0, 1]
    # Of a frame that has ended the answer comes at once.
    detector.send(encode(offer(1)))
    until(lambda: len(answers) == 3, look)
    assert answers[2].seq == 0
    assert around.source.accepted == 2
    detector.close(0)


def test_without_a_spool_no_more_images_than_the_window_are_in_memory(in_memory: Around) -> None:
    around = in_memory
    thread = around.send_in_thread(7, window=7)
    most = 0

    def turn() -> None:
        nonlocal most
        around.turn()
        most = max(most, around.source._intake.kept_frames)

    until(lambda: len(around.frames) == 4, turn)
    for done in range(7):
        until(lambda: len(around.frames) > done, turn)  # noqa: B023 - called at once
        around.close_frames(done)
    until(lambda: not thread.is_alive(), turn)
    assert most == 4


def test_a_dead_letters_image_is_kept_also_without_a_spool(in_memory: Around) -> None:
    around = in_memory
    thread = around.send_in_thread(1)
    around.until(lambda: around.frames)
    around.close_frames(0, kind="failed")
    around.until(lambda: not thread.is_alive())
    kept = (around.places.dead_letters / name_of(0)).read_bytes()
    assert np.array_equal(decode(split_parts(kept), expect=(SurveyImage,)).image, IMAGE)


@pytest.mark.parametrize("spool", [True, False])
def test_a_dead_letter_that_is_replayed_meanwhile_comes_as_a_new_frame(
    topology: Topology, places: Places, spool: bool
) -> None:
    """By another process, that writes into ledger and spool."""
    source = msgspec.structs.replace(topology.source, spool=spool)
    around = Around(msgspec.structs.replace(topology, source=source), places)
    thread = around.send_in_thread(1)
    around.until(lambda: around.frames)
    envelope = around.frames[0].envelope
    with ResultStore(places.results, writer=Writer.this()) as store:
        store.commit([Failed(envelope=envelope, stage="boxing", reason="ValueError: no")])
    around.close_frames(0, kind="failed")
    around.until(lambda: around.source.drained and not thread.is_alive())
    with DeadLetters(places) as letters:
        (letter,) = letters.all()
        (again,) = letters.replay([letter])
        assert letters.replay([letter]) == [again._replace(new=False)]
    around.now += 1
    around.until(lambda: len(around.frames) == 2)
    around.until(lambda: around.source.open == 1)
    frame = around.frames[1]
    assert frame.envelope.seq == again.seq == 1
    assert frame.envelope.replay_of == envelope.metadata.parent_id
    assert frame.envelope.metadata.parent_id == f"{envelope.metadata.parent_id}#2"
    assert np.array_equal(frame.image, IMAGE)
    around.close_frames(1)
    around.until(lambda: around.source.drained)
    assert around.source.accepted == 2
    with DeadLetters(places) as letters:
        (letter,) = letters.all()
        assert letter.replay == (1, "located")
        assert letter.image is not None, "of the failed frame it is kept"
    around.stop()


def test_a_dead_letter_without_an_image_is_not_replayed(topology: Topology, places: Places) -> None:
    around = Around(topology, places)
    around.answers(offer(1))
    around.until(lambda: around.frames)
    with ResultStore(places.results, writer=Writer.this()) as store:
        store.commit(
            [Failed(envelope=around.frames[0].envelope, stage="boxing", reason="ValueError: no")]
        )
    around.close_frames(0, kind="failed")
    around.until(lambda: around.source.drained)
    (places.dead_letters / name_of(0)).unlink()
    with DeadLetters(places) as letters:
        (letter,) = letters.all()
        with pytest.raises(NotReplayed, match="frame 0, p1: its image was not kept"):
            letters.replay([letter])
    assert around.source.ledger.accepted() == 1
    around.stop()


@pytest.mark.parametrize(
    ("durability", "before", "after"),
    [
        ("none", [], []),
        ("batch", [], ["folder", "log", "file", "folder", "log"]),
        ("frame", ["file", "folder"], []),
    ],
)
def test_an_accepted_frame_is_flushed_as_the_topology_says(
    topology: Topology,
    monkeypatch: pytest.MonkeyPatch,
    durability: Literal["none", "batch", "frame"],
    before: list[str],
    after: list[str],
) -> None:
    """Seen at the system's call; SQLite's own calls are behind `synchronous`."""
    flushed: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        target = Path(f"/proc/self/fd/{handle}").readlink()
        log = target.name.endswith("-wal")
        flushed.append("folder" if target.is_dir() else "log" if log else "file")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    source = msgspec.structs.replace(topology.source, durability=durability)
    places = Places(Path(topology.chain.out))
    places.make()
    around = Around(msgspec.structs.replace(topology, source=source), places)
    around.answers(offer(1))
    assert flushed == before
    (level,) = around.source.ledger._db.execute("PRAGMA synchronous").fetchone()
    assert level == 1, "between two acceptances"
    flushed.clear()

    def turn() -> None:
        around.now += 0.1
        around.turn()

    until(lambda: len(flushed) >= len(after), turn)
    around.stop()
    assert flushed == after


def test_the_topology_limits_images_from_files_and_from_detectors_by_name(
    topology: Topology, places: Places, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), IMAGE)
    accept_files(places, tmp_path / "a.png")
    source = msgspec.structs.replace(topology.source, max_pixels=1023)
    around = Around(msgspec.structs.replace(topology, source=source), places)
    try:
        around.until(lambda: around.failed)
        ((answer),) = around.answers(offer(1))
        assert isinstance(answer, Refused)
        for said in (answer.reason, around.failed[0].reason):
            assert "1023 pixels (--max-pixels, source.max_pixels)" in said
        assert around.answers(offer(2, IMAGE[:16]))[0].offer == 2
    finally:
        around.stop()


def test_a_full_spool_makes_detectors_wait_and_holds_no_more_than_it_may(
    topology: Topology, places: Places
) -> None:
    limit = 7 * IMAGE.nbytes
    source = msgspec.structs.replace(topology.source, spool_bytes=limit)
    around = Around(msgspec.structs.replace(topology, source=source), places)
    thread = around.send_in_thread(20)
    most = 0

    def turn() -> None:
        nonlocal most
        around.turn()
        most = max(most, sum(path.stat().st_size for path in places.spool.iterdir()))

    until(lambda: around.source._figures()["detectors_wait"], turn)
    figures = around.source._figures()
    assert figures["open"] < 8
    assert 0 < figures["spool_bytes"] <= limit
    for done in range(20):
        until(lambda: len(around.frames) > done, turn)  # noqa: B023 - called at once
        around.close_frames(done)
    until(lambda: not thread.is_alive(), turn)
    until(lambda: around.source.drained, turn)
    assert most <= limit
    assert around.source._figures()["spool_bytes"] == 0
    assert around.source.accepted == 20
    around.stop()


def test_the_lag_is_the_age_of_the_first_open_frame(around: Around) -> None:
    assert around.source._figures()["lag_s"] == 0
    around.answers(offer(1), offer(2))
    oldest = around.source.ledger.oldest_open_unix()
    assert oldest is not None
    assert around.source._figures()["lag_s"] == pytest.approx(time.time() - oldest, abs=0.2)
    around.close_frames(0, 1)
    around.until(lambda: around.source.drained)
    assert around.source._figures()["lag_s"] == 0


def test_a_client_without_a_source_says_so() -> None:
    detector = Detector("ipc:///tmp/haadflow-nobody-listens-here", patience_s=0.2)
    detector.send(IMAGE)
    with pytest.raises(NotAccepted, match=r"no answer from ipc.*1 images are not accepted"):
        detector.close()


def test_a_detector_that_counts_anew_in_its_old_session_is_refused(around: Around) -> None:
    """Its images would be taken for repeats of others, and be nowhere."""
    first = offer(1)
    renamed = msgspec.structs.replace(first.metadata, parent_id="another")
    other = msgspec.structs.replace(first, metadata=renamed)
    new_session = msgspec.structs.replace(other, session="new")
    accepted, repeat, refused, fresh = around.answers(first, first, other, new_session)
    assert isinstance(accepted, Accepted)
    assert accepted == repeat
    assert isinstance(refused, Refused)
    assert "was accepted before, as" in refused.reason
    assert "draws a new session" in refused.reason
    assert isinstance(fresh, Accepted)
    assert fresh.seq == 1


def test_another_image_under_a_number_that_was_accepted_is_refused_also_when_it_has_ended(
    around: Around,
) -> None:
    first, other = offer(1), offer(1, IMAGE + 1)
    accepted, refused = around.answers(first, other)
    around.until(lambda: around.frames)
    assert np.array_equal(around.frames[0].image, IMAGE)
    around.close_frames(0)
    around.until(lambda: around.source.open == 0)
    around.restart()
    repeat, later = around.answers(first, other)
    assert isinstance(accepted, Accepted)
    assert accepted == repeat
    for answer in (refused, later):
        assert isinstance(answer, Refused)
        assert "was accepted before, as p1, with another image" in answer.reason
    assert around.source.accepted == 1


def test_of_two_images_at_once_under_one_number_the_first_is_accepted(around: Around) -> None:
    detector = Requester(around.offers)
    for image in (IMAGE, IMAGE + 1):
        detector.send(encode(offer(1, image)))
    answers: list[str] = []

    def look() -> None:
        around.turn()
        if (parts := detector.receive()) is not None:
            answers.append(type(decode(parts, expect=(Accepted, Refused))).__name__)

    until(lambda: len(answers) == 2 and around.frames, look)
    detector.close(0)
    assert sorted(answers) == ["Accepted", "Refused"]
    assert np.array_equal(around.frames[0].image, IMAGE)


def test_gaps_late_numbers_and_two_detectors_with_the_same_ones_make_one_frame_an_offer(
    around: Around,
) -> None:
    numbers = (1, 2, 2, 9, 5, 1, 3)
    one = [offer(number, IMAGE + number) for number in numbers]
    two = [msgspec.structs.replace(each, session="two") for each in one]
    both = [each for pair in zip(one, two, strict=True) for each in pair]
    answers = around.answers(*both)
    seqs = [answer.seq for answer in answers if isinstance(answer, Accepted)]
    assert len(seqs) == len(both)
    sessions = [dict(zip(numbers, seqs[start::2], strict=True)) for start in (0, 1)]
    assert [seqs[start::2] for start in (0, 1)] == [[of[n] for n in numbers] for of in sessions]
    assert {*sessions[0].values(), *sessions[1].values()} == set(range(10))
    assert around.source.accepted == 10


def test_a_repeat_of_a_frame_that_was_given_another_name_is_a_repeat(around: Around) -> None:
    first = offer(1)
    second = msgspec.structs.replace(offer(2), metadata=first.metadata)
    answers = around.answers(first, second, second)
    assert [answer.seq for answer in answers if isinstance(answer, Accepted)] == [0, 1, 1]


def test_after_garbage_the_next_offer_is_accepted(around: Around) -> None:
    """Each piece of it in turn at both of its addresses, and one source through it all."""
    hostile = Requester(around.offers)
    for count, (name, garbage) in enumerate(sorted(HOSTILE.items()), 1):
        parts = list(garbage) or [b""]
        hostile.send(parts)
        until(lambda: around.acknowledge.send(parts), around.turn, after=name)  # noqa: B023
        (answer,) = around.answers(offer(count))
        assert isinstance(answer, Accepted), name
        until(lambda: len(around.frames) == count, around.turn, after=name)  # noqa: B023
        around.close_frames(answer.seq)
    around.until(lambda: around.source.drained)
    around.until(lambda: around.source._bad.undecodable == 2 * len(HOSTILE))
    hostile.close(0)
