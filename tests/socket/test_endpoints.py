"""Addresses that cannot be had, and what an end does with those who come."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from services.runtime.endpoints import (
    ANSWERS_HELD,
    UNIX_SOCKET_HOLDS,
    AddressError,
    Dispatcher,
    Inlet,
    Outlet,
    Visit,
)

from .conftest import until


def no_turn() -> None:
    """Both ends work by themselves."""


def test_a_unix_socket_that_is_listened_on_is_not_taken_away(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/in"
    first, sender = Inlet(address), Outlet(address)
    with pytest.raises(AddressError, match=f"cannot listen on {address}: Address already in use"):
        Inlet(address)
    until(lambda: sender.send([b"still here"]), no_turn)
    until(lambda: first.receive() == [b"still here"], no_turn)
    for end in (first, sender):
        end.close(0)


def test_what_a_killed_process_left_of_a_unix_socket_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "in"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert path.is_socket()
    inlet, sender = Inlet(f"ipc://{path}"), Outlet(f"ipc://{path}")
    until(lambda: sender.send([b"new"]), no_turn)
    until(lambda: inlet.receive() == [b"new"], no_turn)
    for end in (inlet, sender):
        end.close(0)


def test_a_file_is_not_made_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("precious")
    with pytest.raises(AddressError, match="there is a file, and it is no socket"):
        Inlet(f"ipc://{path}")
    assert path.read_text() == "precious"


def test_a_full_inlet_outlives_the_peer_that_filled_it(tmp_path: Path) -> None:
    """A heartbeat to a peer that is gone while its messages wait would abort the process."""
    program = """
import sys, time
from services.runtime import endpoints
endpoints.HEARTBEAT_MS, endpoints.HEARTBEAT_TIMEOUT_MS = 50, 150
inlet = endpoints.Inlet(sys.argv[1], high_water_mark=4)
outlet = endpoints.Outlet(sys.argv[1])
while outlet.send([b"x" * 10_000], timeout_ms=300):
    pass
outlet.close(0)
watch = endpoints.Poller([endpoints.Inlet(sys.argv[1] + ".2")])
watch.wait(1_000)  # twenty heartbeats
assert inlet.receive() is not None
print("alive")
inlet.close(0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, f"ipc://{tmp_path}/in"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "alive\n", done.stderr


def test_a_peer_that_reads_no_answers_is_held_a_bounded_number_and_others_get_theirs(
    tmp_path: Path,
) -> None:
    dispatcher = Dispatcher(f"ipc://{tmp_path}/in", waiting=16)
    with zmq.Context() as context:
        deaf, good = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
        for peer in (deaf, good):
            peer.setsockopt(zmq.LINGER, 0)
            peer.setsockopt(zmq.RCVHWM, 1)
            peer.connect(dispatcher.address)
        peers: dict[bytes, bytes] = {}

        def asked_by(peer: zmq.Socket[bytes], name: bytes) -> bytes:
            peer.send(name)
            until(
                lambda: name in peers,
                lambda: peers.update({bytes(p[0]): w for w, p in came(dispatcher)}),
            )
            return peers[name]

        answer, in_the_kernel = [b"x" * 1_000], 5_000
        to_deaf = asked_by(deaf, b"deaf")
        until(lambda: not dispatcher.send(to_deaf, answer), no_turn)
        sent = sum(dispatcher.send(to_deaf, answer) for _ in range(2 * ANSWERS_HELD))
        assert sent < in_the_kernel
        assert dispatcher.send(asked_by(good, b"good"), [b"yours"])
        assert good.recv() == b"yours"
        # Once it reads, it is answered again.
        until(lambda: dispatcher.send(to_deaf, answer), deaf.recv)
        for peer in (deaf, good):
            peer.close()
    dispatcher.close(0)


def came(dispatcher: Dispatcher) -> list[tuple[bytes, list[memoryview]]]:
    found = dispatcher.receive()
    return [] if found is None else [found]


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(AddressError, match=f"{address}: Address already in use"):
            Inlet(address)


def test_no_address_at_all_is_named() -> None:
    with pytest.raises(AddressError, match="cannot connect to 'nonsense'"):
        Outlet("nonsense")


def test_a_unix_socket_is_made_to_hold_an_image(tmp_path: Path) -> None:
    """Else both ends are woken again and again for each image."""
    inlet = Inlet(f"ipc://{tmp_path}/frames")
    outlet = Outlet(inlet.address)
    came: list[int] = []

    def look() -> None:
        came.extend(number for visit, number in inlet.visits() if visit is Visit.CAME)

    until(lambda: bool(came), look)
    with socket.socket(fileno=os.dup(came[0])) as connection:
        holds = connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    allowed = int(Path("/proc/sys/net/core/wmem_max").read_text())
    assert holds == 2 * min(UNIX_SOCKET_HOLDS, allowed)
    outlet.close(0)
    inlet.close(0)
