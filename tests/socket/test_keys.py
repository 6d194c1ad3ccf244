"""Who gets in where there are keys, over real connections; and that the others leave no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
import zmq

from protocols import decode, encode
from protocols.messages import Closed, Credit, Probe, Started, SurveyImage
from services.runtime import endpoints, guard
from services.runtime.endpoints import (
    Curve,
    Dispatcher,
    Inlet,
    Outlet,
    Publisher,
    Requester,
    Socket,
)
from services.runtime.keyring import Keyring
from services.runtime.keys import KeyFolder
from services.runtime.places import Places
from services.runtime.roles import LISTENS, MAY_CONNECT, ROLES, End, Role
from services.runtime.topology import Topology
from services.source import Source
from services.stage_queue import StageQueue
from tests.helpers.intruders import (
    Intruder,
    with_any_key,
    with_key_of,
    with_wrong_server_key,
)
from tests.helpers.recorder import Recorder

from .conftest import until
from .test_stage_queue import STAGE, frame

ANYWHERE = "tcp://127.0.0.1:*"
OFFERS: End = "source.offers"

Log = list[Any]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    """Everybody's keys; tests that revoke some make a folder of their own."""
    return drawn(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture
def own_keys(tmp_path: Path) -> KeyFolder:
    return drawn(tmp_path / "keys")


@pytest.fixture
def log() -> Iterator[Log]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def drawn(path: Path) -> KeyFolder:
    folder = KeyFolder(path)
    for role in ROLES:
        folder.new(role)
    return folder


def as_role(folder: KeyFolder, role: Role, end: End) -> Curve:
    """Return what somebody of any role would use to connect to an end."""
    public, secret = folder.own(role)
    return Curve(public, secret, server=folder.own(LISTENS[end])[0])


def turned_away(log: Log, **about: str) -> list[Any]:
    return [
        entry
        for entry in log
        if entry["event"] == "peer.turned_away"
        and all(value in str(entry.get(key, "")) for key, value in about.items())
    ]


@pytest.mark.parametrize("end", MAY_CONNECT)
def test_an_end_lets_in_the_roles_of_the_table_and_no_other(
    end: End, keys: KeyFolder, log: Log
) -> None:
    inlet = Inlet(ANYWHERE, curve=Keyring(keys.path).listen(end))
    outlets = {role: Outlet(inlet.address, curve=as_role(keys, role, end)) for role in ROLES}
    came: dict[str, str | None] = {}

    def turn() -> None:
        for role, outlet in outlets.items():
            if role not in came:
                outlet.send([role.encode()])
        while (parts := inlet.receive()) is not None:
            came[bytes(parts[0]).decode()] = inlet.sender

    refused = set(ROLES) - MAY_CONNECT[end]
    until(
        lambda: (
            came.keys() >= MAY_CONNECT[end]
            and all(turned_away(log, end=end, role=role, address="127.0.0.1") for role in refused)
        ),
        turn,
    )
    assert came == {role: role for role in MAY_CONNECT[end]}
    for socket in (inlet, *outlets.values()):
        socket.close(0)


def test_copies_go_to_those_who_have_a_key_only(keys: KeyFolder, log: Log) -> None:
    """And a subscription that is no subscription changes nothing."""
    publisher = Publisher(ANYWHERE, curve=Keyring(keys.path).listen("feed.copies"))
    watching = {"controller": zmq.SUB, "worker": zmq.SUB, "": zmq.SUB, "garbage": zmq.XSUB}
    sockets: dict[str, zmq.Socket[bytes]] = {}
    for who, kind in watching.items():
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
        sockets[who] = socket
        socket.setsockopt(zmq.LINGER, 0)
        if who:
            role: Role = "worker" if who == "worker" else "controller"
            curve = as_role(keys, role, "feed.copies")
            socket.curve_publickey, socket.curve_secretkey = curve.public, curve.secret
            socket.curve_serverkey = curve.server
        if kind == zmq.SUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.connect(publisher.address)
    sockets["garbage"].send(b"\xff" * 5000)
    came: dict[str, bytes] = {}

    def turn() -> None:
        publisher.send([b"copy"])
        for who, socket in sockets.items():
            while socket.poll(0):
                came[who] = socket.recv()

    until(
        lambda: came and turned_away(log, end="feed.copies", role="worker"),
        turn,
    )
    assert came == {"controller": b"copy"}
    publisher.close(0)
    for socket in sockets.values():
        socket.close(0)


class Offers:
    """An end for offers with a detector that is let in."""

    def __init__(self, folder: KeyFolder) -> None:
        self.folder = folder
        self.keyring = Keyring(folder.path)
        self.end = Dispatcher(ANYWHERE, curve=self.keyring.listen(OFFERS))
        self.address = self.end.address
        self.port = int(self.address.rpartition(":")[2])
        self.detector = self.connect(self.address)
        self.heard: list[bytes] = []
        self.sent = 0

    def connect(self, address: str) -> Requester:
        return Requester(address, curve=self.keyring.connect("detector", OFFERS))

    def turn(self) -> None:
        while (heard := self.end.receive()) is not None:
            peer, parts = heard
            self.heard += [bytes(part) for part in parts]
            self.end.send(peer, [b"answer"])

    def good_ones_get_through(self) -> None:
        """Send a message more, and see that it and its answer arrive."""
        self.sent += 1
        message = b"good %d" % self.sent
        self.detector.send([message])
        until(lambda: message in self.heard, self.turn)
        until(lambda: self.detector.receive() == [b"answer"], self.turn)

    def close(self) -> None:
        self.end.close(0)
        self.detector.close(0)


@pytest.fixture
def offers(keys: KeyFolder) -> Iterator[Offers]:
    offers = Offers(keys)
    yield offers
    offers.close()


EVIL = [b"evil"]
INTRUDERS: dict[str, tuple[Callable[[KeyFolder, str], Intruder], str]] = {
    "a plain client": (lambda _, address: Intruder(address, EVIL), "handshake failed"),
    "a key that nobody allowed": (
        lambda folder, address: with_any_key(folder, "source", address, EVIL),
        "its key is not on the list",
    ),
    "an allowed key and a wrong one of the server": (
        lambda folder, address: with_wrong_server_key(folder, "detector", address, EVIL),
        "handshake failed",
    ),
    "the right key in the wrong role": (
        lambda folder, address: with_key_of(folder, "worker", "source", address, EVIL),
        "a key of role worker may not connect here",
    ),
}


@pytest.mark.parametrize("name", INTRUDERS)
def test_who_may_not_get_in_is_logged_with_its_address_and_good_ones_notice_nothing(
    name: str, offers: Offers, log: Log
) -> None:
    make, why = INTRUDERS[name]
    offers.good_ones_get_through()
    intruders: list[Intruder] = []

    def knock() -> None:
        # A connection that is over in no time may be gone before its address is asked for.
        intruders.append(make(offers.folder, offers.address))
        intruders[-1].knock()
        offers.good_ones_get_through()

    until(lambda: turned_away(log, end=OFFERS, address="127.0.0.1", why=why), knock)
    offers.good_ones_get_through()
    assert b"evil" not in offers.heard
    assert not any(intruder.hears() for intruder in intruders)
    for intruder in intruders:
        intruder.__exit__(None, None, None)


def test_a_part_above_the_limit_ends_the_connection_which_is_logged(
    keys: KeyFolder, log: Log
) -> None:
    keyring = Keyring(keys.path)
    inlet = Inlet(ANYWHERE, curve=keyring.listen("sink.results"), largest_part=1_000)
    outlet = Outlet(inlet.address, curve=keyring.connect("worker", "sink.results"))
    until(lambda: outlet.send([bytes(1_001)]), lambda: None)
    ended = {"event": "peer.left", "end": "sink.results"}
    until(lambda: any(ended.items() <= entry.items() for entry in log), lambda: None)
    assert inlet.receive() is None
    # What leaves before the other end has noticed is lost with the connection.
    until(inlet.receive, lambda: outlet.send([b"good"]))
    for socket in (inlet, outlet):
        socket.close(0)


def test_a_recording_of_a_connection_shows_nothing_and_gets_nobody_in_when_played_back(
    offers: Offers, log: Log
) -> None:
    secret = b"where the particle is"
    with Recorder(offers.port) as recorder:
        detector = offers.connect(recorder.address)
        detector.send([secret])
        until(lambda: secret in offers.heard, offers.turn)
        detector.close(0)
    assert len(recorder.sent) > 500  # greeting, hello, initiate, message
    assert secret not in recorder.sent
    offers.heard.clear()

    def play_back() -> None:
        assert recorder.play_back(offers.port) >= recorder.chunks[-1].after - 100
        offers.good_ones_get_through()

    until(
        lambda: turned_away(log, end=OFFERS, address="127.0.0.1", why="handshake failed"), play_back
    )
    assert secret not in offers.heard


def test_a_key_is_revoked_and_allowed_again_without_a_restart(
    own_keys: KeyFolder, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "HANDSHAKE_MS", 300)  # until a refused peer tries again
    offers = Offers(own_keys)
    offers.good_ones_get_through()
    own_keys.revoke("detector")
    # libzmq keeps the connection that is there; what it brings is dropped, and nothing is sent.
    offers.detector.send([b"too late"])
    until(lambda: turned_away(log, name="detector", why="revoked"), offers.turn)
    before = guard.turned_away()
    late = offers.connect(offers.address)
    late.send([b"in time after all"])
    until(lambda: guard.turned_away() > before, offers.turn)
    own_keys.allow("detector", own_keys.own("detector")[0].decode(), "detector")
    # The refused connection comes again by itself.
    until(lambda: b"in time after all" in offers.heard, offers.turn)
    assert b"too late" not in offers.heard
    offers.good_ones_get_through()
    late.close(0)
    offers.close()


def test_nothing_is_sent_to_a_peer_whose_key_was_revoked(own_keys: KeyFolder) -> None:
    offers = Offers(own_keys)
    peers: list[bytes] = []

    def look() -> None:
        heard = offers.end.receive()
        if heard is not None:
            peers.append(heard[0])

    offers.detector.send([b"here"])
    until(lambda: peers, look)
    assert offers.end.send(peers[0], [b"yes"])
    own_keys.revoke("detector")
    assert not offers.end.send(peers[0], [b"no"])
    offers.close()


def test_a_list_that_cannot_be_read_is_named_and_leaves_all_as_it_was(
    own_keys: KeyFolder, log: Log
) -> None:
    offers = Offers(own_keys)
    path = own_keys.path / "allowed"
    good = path.read_text()
    offers.good_ones_get_through()
    for text, complaint in (
        ("", f"{path}: is empty"),
        (
            good + "allow all\n",
            f"{path}, line {len(ROLES) + 2}: 2 words; expected state, role, name, public key",
        ),
    ):
        path.write_text(text)
        offers.good_ones_get_through()
        assert any(complaint in str(entry.get("error")) for entry in log), log
    path.write_text(good)
    own_keys.revoke("detector")
    offers.detector.send([b"too late"])
    until(lambda: turned_away(log, why="revoked"), offers.turn)
    offers.close()


def with_keys(topology: Topology, folder: KeyFolder) -> Topology:
    security = msgspec.structs.replace(topology.security, keys=str(folder.path))
    return msgspec.structs.replace(topology, security=security)


def test_a_worker_whose_key_was_revoked_loses_its_frames_to_another(
    topology: Topology, own_keys: KeyFolder
) -> None:
    """Over Unix sockets, where keys count too."""
    table = topology.stage_named(STAGE)
    queue = StageQueue(with_keys(topology, own_keys), STAGE)
    keyring = Keyring(own_keys.path)
    upstream = Outlet(table.frames, curve=keyring.connect("source", "first_stage.frames"))
    first = Requester(table.work, curve=keyring.connect("worker", "stage.work"))
    first.send(encode(Credit(frames=1, outstanding=1)))
    until(lambda: upstream.send(encode(frame(7))), queue.step)
    assert next_frame(first, queue) == 7
    own_keys.revoke("worker")
    until(lambda: queue.dispatch.figures.workers_lost == 1, queue.step)
    own_keys.new("worker", "another")
    second = Requester(table.work, curve=keyring.connect("worker", "stage.work"))
    second.send(encode(Credit(frames=1, outstanding=1)))
    assert next_frame(second, queue) == 7
    first.send(encode(Credit(frames=1, outstanding=1, done=(("r", 7),))))
    second.send(encode(Credit(frames=0, outstanding=0, done=(("r", 7),))))
    until(lambda: queue.dispatch.figures.done == 1, queue.step)
    assert len(queue.dispatch.workers) == 1
    queue.close()
    for end in (upstream, first, second):
        end.close(0)


def next_frame(worker: Requester, queue: StageQueue) -> int:
    got: list[SurveyImage] = []

    def look() -> None:
        queue.step(5)
        parts = worker.receive(5)
        if parts is not None and not isinstance(message := decode(parts), Probe):
            assert isinstance(message, SurveyImage)
            got.append(message)

    until(lambda: got, look)
    return got[0].envelope.seq


def test_the_key_of_a_queue_announces_its_start_but_acknowledges_nothing(
    topology: Topology, places: Places, keys: KeyFolder, log: Log
) -> None:
    source = Source(with_keys(topology, keys), places)
    keyring = Keyring(keys.path)
    queue = Outlet(topology.source.closed, curve=keyring.connect("queue", "source.closed"))
    name = f"{topology.stage[0].name}.queue"
    closed = Closed(run=source.ledger.run, seqs=(0,), outcomes=("located",))
    until(lambda: queue.send(encode(Started(service=name, epoch="e"))), source.step)
    until(lambda: queue.send(encode(closed)), source.step)
    until(
        lambda: any(entry["event"] == "acknowledgement.not_the_sinks" for entry in log), source.step
    )
    assert source.ledger.about(f"epoch of {name}") == "e"
    source.close()
    queue.close(0)


def test_sockets_without_keys_know_no_sender(tmp_path: Path) -> None:
    inlet, outlet = Inlet(f"ipc://{tmp_path}/in"), Outlet(f"ipc://{tmp_path}/in")
    until(lambda: outlet.send([b"x"]), lambda: None)
    until(lambda: inlet.receive() == [b"x"], lambda: None)
    ends: tuple[Socket, ...] = (inlet, outlet)
    assert inlet.sender is None
    for end in ends:
        end.close(0)
