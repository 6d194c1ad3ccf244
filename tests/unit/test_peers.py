"""The benchmark beside others: its figures are those of its times, and a kill is a kill."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.chain_images import LARGE, SMALL, pictures
from benchmarks.peers import figures, journal, kill, measure, processes, stream, table, tcp
from benchmarks.peers.chain_bytes import mean_encoded_bytes
from benchmarks.peers.figures import Round
from benchmarks.peers.haadflow_chain import HaadflowChain
from benchmarks.peers.kill import Killed
from benchmarks.peers.peer import Again, Finished, Peer, PeerFailed
from benchmarks.peers.process_pool import ProcessPool
from benchmarks.peers.stream import Cost, Heard
from benchmarks.peers.work import N_ELEMENTS
from benchmarks.report import Machine
from pipeline import process
from services.runtime.topology import one_machine

IMAGE = np.zeros((16, 16), np.uint8)
DEADLINE_S = 60.0


class FakePeer:
    """Answers at once, oldest first, but for the images it was told to forget."""

    name, version, workers, counted, victim = "fake", "1", "none", "not at all", "nobody"

    def __init__(self, *, forgets: Collection[int] = (), child: list[str] | None = None) -> None:
        self.most_in_flight = 0
        self.child: subprocess.Popen[bytes] | None = None
        self._forgets = forgets
        self._command = child
        self._waiting: deque[int] = deque()

    def __enter__(self) -> Self:
        if self._command is not None:
            self.child = subprocess.Popen(self._command)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def submit(self, number: int, image: NDArray[Any]) -> None:
        assert image is IMAGE
        self._waiting.append(number)
        self.most_in_flight = max(self.most_in_flight, len(self._waiting))

    def finished(self, timeout_s: float) -> list[Finished]:
        assert timeout_s > 0
        if not self._waiting:
            return []
        number = self._waiting.popleft()
        if number in self._forgets:
            return []
        # Twice, as a peer that computes again may answer.
        return [Finished(number, time.monotonic(), 0)] * 2

    def moved(self) -> float:
        return 0.0

    def keep_journal(self) -> None:
        pass

    def at_work(self) -> int | None:
        return None

    def in_hand(self, pid: int) -> bool | None:
        return pid < 0

    def again(self) -> Again:
        return Again(None, None)

    def boxes(self, numbers: Collection[int]) -> dict[int, int] | None:
        return dict.fromkeys(numbers, 3)


@pytest.fixture(scope="module")
def images() -> list[NDArray[Any]]:
    return pictures(SMALL)[:4]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[ProcessPool]:
    with processes.running(ProcessPool(tmp_path, workers=2)) as running:
        yield running


@pytest.fixture
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far = server.accept()[0]
    with near, far:
        yield near, far


def test_the_pool_finds_what_process_finds(pool: ProcessPool, images: list[NDArray[Any]]) -> None:
    expected = [len(process(image, n_elements=N_ELEMENTS).boxes) for image in images]
    heard, cost = stream.measured(pool, images, range(12), window=4)
    assert {one.number for one in heard.results} == set(range(12))
    assert measure.count_wrong(pool, heard.results, expected) == 0
    assert len(heard.latencies) == 12
    assert cost.cpu > 0
    assert cost.moved == pytest.approx(cost.written, abs=4096)
    assert cost.moved > 12 * images[0].nbytes


def test_the_pool_never_says_what_became_of_a_killed_workers_image(pool: ProcessPool) -> None:
    images = pictures(LARGE)[:4]  # they take long enough for one to be caught in a worker's hands
    stream.measured(pool, images, range(8), window=4)
    # That something never comes is no event: the silence has to be longer than a busy machine's.
    found = kill.measure(pool, images, range(8, 98), window=4, deadline_s=8.0)
    assert found.in_hand
    assert (found.results, found.missing, found.errors) == (89, 1, {})
    assert (found.begun_again, found.finished_again) == (0, 0)
    assert found.longest_silence_s >= found.deadline_s
    assert found.verdict == "hung: 1 never came"
    assert found.seen == "nothing: it waits"


def test_an_exception_in_a_worker_reaches_the_caller_by_name(pool: ProcessPool) -> None:
    colour = np.zeros((16, 16, 3), np.uint8)
    heard = stream.run(pool, [colour], range(1), window=1, patience_s=DEADLINE_S)
    assert [one.error for one in heard.results] == ["ValueError"]
    with pytest.raises(PeerFailed, match="ValueError instead of 1 results"):
        stream.measured(pool, [colour], range(1, 2), window=1)


def test_no_more_are_in_flight_than_the_window_holds_and_each_counts_once() -> None:
    peer = FakePeer()
    heard = stream.run(peer, [IMAGE], range(5, 15), window=3, patience_s=DEADLINE_S)
    assert peer.most_in_flight == 3
    assert [one.number for one in heard.results] == list(range(5, 15))
    assert len(heard.latencies) == 10
    assert heard.missing == []


def test_what_does_not_come_within_the_patience_is_missing() -> None:
    heard = stream.run(FakePeer(forgets={2, 4}), [IMAGE], range(6), window=3, patience_s=0.05)
    assert heard.missing == [2, 4]
    assert {one.number for one in heard.results} == {0, 1, 3, 5}
    assert heard.longest_silence >= 0.05


def test_a_stream_without_anybody_to_kill_is_no_measurement() -> None:
    with pytest.raises(PeerFailed, match="ended before a worker was caught"):
        kill.measure(FakePeer(), [IMAGE], range(6), window=2, deadline_s=1.0)


def test_boxes_that_are_only_read_afterwards_are_compared_too() -> None:
    results = [Finished(number, 0.0) for number in range(4)]
    assert measure.count_wrong(FakePeer(), results, [3]) == 0
    assert measure.count_wrong(FakePeer(), results, [3, 4]) == 2


def test_a_process_that_a_peer_leaves_behind_is_ended() -> None:
    waits = [sys.executable, "-c", "import signal; signal.pause()"]
    with processes.running(FakePeer(child=waits)) as peer:
        assert peer.child is not None
        assert peer.child.poll() is None
    assert not psutil.pid_exists(peer.child.pid)
    peer.child.wait(0)


def test_what_takes_too_long_is_interrupted() -> None:
    near, far = socket.socketpair()
    with near, far:
        with pytest.raises(PeerFailed, match=r"waiting was not done within 0\.05 s"):
            wait_at_most(0.05, near)
        # The alarm is off again.
        far.send(b"x")
        assert near.recv(1) == b"x"


def test_the_journal_tells_who_is_at_work_and_what_was_done_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    assert journal.at_work(journal.read(path)) is None
    path.write_text("1 10 begun\n2 20 begun\n2 20 finished\n", encoding="utf-8")
    assert journal.at_work(journal.read(path)) is None
    assert journal.in_hand(journal.read(path), 10)
    assert not journal.in_hand(journal.read(path), 20)
    assert not journal.in_hand(journal.read(path), 30)
    for number, what in ((1, "begun"), (1, "finished"), (2, "begun"), (2, "finished")):
        journal.note(path, number, "begun" if what == "begun" else "finished")
    assert journal.again(journal.read(path)) == Again(begun=2, finished=1)
    journal.note(path, 3, "begun")
    assert journal.at_work(journal.read(path)) == psutil.Process().pid


def test_bytes_through_tcp_count_once_each(connected: tuple[socket.socket, socket.socket]) -> None:
    near, far = connected
    before = tcp.bytes_through()
    for source, target in ((near, far), (far, near), (near, far)):
        source.sendall(bytes(10_000))
        got = 0
        while got < 10_000:
            got += len(target.recv(10_000))
    deadline = time.monotonic() + DEADLINE_S
    # The kernel counts what was acknowledged, which may take it a moment.
    while tcp.bytes_through() - before < 30_000:
        assert time.monotonic() < deadline
    assert tcp.bytes_through() - before == 30_000


def test_an_image_crosses_three_sockets_of_the_chain(tmp_path: Path) -> None:
    topology = one_machine(tmp_path, out=tmp_path, workers={}, parameters={})
    image = pictures(1024)[0]
    assert 3.0 < mean_encoded_bytes([image], topology) / image.nbytes < 3.3
    # A blank one goes from the quality gate to the sink.
    blank = np.zeros_like(image)
    assert 3.0 < mean_encoded_bytes([blank], topology) / blank.nbytes < 3.02


def test_an_image_crosses_two_sockets_of_the_chain_for_few_cores(tmp_path: Path) -> None:
    topology = one_machine(tmp_path, out=tmp_path, workers={}, parameters={}, together=True)
    image = pictures(1024)[0]
    assert 2.0 < mean_encoded_bytes([image], topology) / image.nbytes < 2.1


def test_the_chain_for_few_cores_survives_the_death_of_its_only_worker(
    images: list[NDArray[Any]],
) -> None:
    # Not in the test's own folder: a Unix socket's path is short.
    with tempfile.TemporaryDirectory(prefix="hfp-") as folder:
        peer = HaadflowChain(Path(folder), images, few_cores=True)
        with processes.running(peer):
            stream.measured(peer, images, range(20), window=8)
            found = kill.measure(peer, images, range(20, 80), window=8, deadline_s=DEADLINE_S)
            boxes = peer.boxes(range(80))
    expected = [len(process(image, n_elements=N_ELEMENTS).boxes) for image in images]
    assert (found.results, found.verdict) == (60, "complete")
    assert boxes == {number: expected[number % len(images)] for number in range(80)}


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),  # noqa: S104 - that it is found is the point
        ("::", False),
        ("192.0.2.2", False),
        ("::ffff:192.0.2.2", False),
    ],
)
def test_loopback_is_told_from_other_addresses(address: str, *, loopback: bool) -> None:
    assert processes.is_loopback(address) is loopback


def test_usage_is_that_of_all_processes_also_of_those_that_are_new() -> None:
    mine = psutil.Process()
    other = psutil.Process(mine.ppid())
    before = processes.Usage({mine: 5.0}, 100.0)
    after = processes.Usage({mine: 7.0, other: 0.5}, 104.0)
    assert after.since(before) == 2.5
    assert after.own == 7.0


def test_the_figures_of_a_peer_are_those_of_its_rounds() -> None:
    column = figures.column(FakePeer(), [a_round(seconds=2.0), a_round(seconds=4.0)])
    assert column.rates == [50.0, 25.0]
    assert column.rate == 37.5
    assert column.narrow_rate == 100.0
    assert column.cpu_ms == pytest.approx(8.0)
    assert column.caller_cpu_ms == pytest.approx(2.0)
    assert column.moved_bytes == 2048.0
    assert column.written_bytes == 1024.0
    assert column.latency_ms == pytest.approx(10.0)
    assert column.latency_p99_ms == pytest.approx(10.0)
    assert column.wrong == 2
    assert len(column.killed) == 2


def test_a_kill_is_summed_up_in_words() -> None:
    assert (a_kill().verdict, a_kill().seen) == ("complete", "nothing")
    lost = a_kill(errors={"WorkerCrashedError": 2})
    assert (lost.verdict, lost.seen) == ("2 lost", "2 x WorkerCrashedError")


def test_the_table_says_what_is_not_knowable_and_the_notes_what_only_the_chain_does() -> None:
    unknown = a_kill(missing=1, in_hand=None, finished_again=None)
    report = a_report(figures.column(FakePeer(), [a_round(killed=unknown)]))
    text = printed(report)
    for said in ("fake", "hung: 1 never came", "not knowable", "20 (given up)", "4 images in"):
        assert said in text
    notes = " ".join(table.notes(report))
    assert "ledger" in notes
    assert "committed" in notes
    assert "Moved, fake: not at all." in notes


def test_a_single_round_has_no_range() -> None:
    one = printed(a_report(figures.column(FakePeer(), [a_round()])))
    two = printed(a_report(figures.column(FakePeer(), [a_round(), a_round(seconds=4.0)])))
    assert ".." not in one
    assert "37.5 (25..50)" in two


def test_the_report_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    report = a_report(figures.column(FakePeer(), [a_round()]))
    table.write(report, tmp_path / "deep" / "peers.json")
    text = (tmp_path / "deep" / "peers.json").read_bytes()
    assert msgspec.json.decode(text, type=table.PeersReport) == report


def test_the_peers_are_peers(tmp_path: Path) -> None:
    peers: list[Peer] = [ProcessPool(tmp_path, workers=1), FakePeer()]
    assert [peer.name for peer in peers] == ["multiprocessing.Pool", "fake"]


def wait_at_most(seconds: float, end: socket.socket) -> None:
    with processes.within(seconds, "waiting"):
        end.recv(1)


def a_kill(
    *,
    missing: int = 0,
    errors: dict[str, int] | None = None,
    in_hand: bool | None = True,
    finished_again: int | None = 0,
) -> Killed:
    return Killed(
        images=10,
        victim="nobody",
        in_hand=in_hand,
        results=10 - missing,
        errors=errors or {},
        missing=missing,
        deadline_s=20.0,
        longest_silence_s=20.0,
        begun_again=1,
        finished_again=finished_again,
    )


def a_round(*, seconds: float = 2.0, killed: Killed | None = None) -> Round:
    results = [Finished(number, 0.0, 3) for number in range(100)]
    wide = Heard(seconds, [0.1] * 100, results, [], 0.1)
    narrow = Heard(1.0, [0.01] * 100, results, [], 0.1)
    cost = Cost(0.8, 0.2, 204_800.0, 102_400.0, 0.5)
    return Round(1.5, wide, cost, narrow, cost, 1, killed or a_kill())


def a_report(column: figures.Column) -> table.PeersReport:
    started = datetime(2026, 1, 2, tzinfo=UTC)
    machine = Machine.this(quick=False, load_before=0.5, started=started)
    return table.PeersReport(
        machine=machine, cores=2, wide_window=32, narrow_window=4, columns=(column,)
    )


def printed(report: table.PeersReport) -> str:
    console = Console(width=150)
    with console.capture() as capture:
        console.print(table.table(report))
    return capture.get()
