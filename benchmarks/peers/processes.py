"""All processes under this one: what they use, where they listen, and their end."""

from __future__ import annotations

import ipaddress
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from types import FrameType
from typing import NamedTuple, TypeVar

import psutil

from benchmarks.peers.peer import Peer, PeerFailed

GRACE_S = 5.0

AnyPeer = TypeVar("AnyPeer", bound=Peer)


class Usage(NamedTuple):
    """What the processes of the tree have used since each of them started."""

    cpu: dict[psutil.Process, float]
    """Processor seconds."""
    machine_cpu: float
    """Processor seconds of everything that runs on this machine."""

    @property
    def own(self) -> float:
        """Processor seconds of this process."""
        return self.cpu[psutil.Process()]

    def since(self, before: Usage) -> float:
        """Return the processor seconds used since; of processes that have died meanwhile, none."""
        return sum(used - before.cpu.get(process, 0.0) for process, used in self.cpu.items())


def tree() -> list[psutil.Process]:
    """Return this process and all below it."""
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def usage() -> Usage:
    """Look at all processes of the tree."""
    cpu = {}
    for process in tree():
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            cpu[process] = times.user + times.system
    return Usage(cpu, _machine_cpu())


def written() -> int:
    """Return the bytes that the tree's processes have passed to `write`, pipes included.

    Bytes sent through sockets do not count there.
    """
    total = 0
    for process in tree():
        with suppress(psutil.NoSuchProcess):
            total += process.io_counters().write_chars
    return total


def heard_from_outside() -> list[str]:
    """Return the addresses beyond this machine's loopback on which the tree listens."""
    found = []
    for process in tree():
        with suppress(psutil.NoSuchProcess):
            found += [
                f"{process.name()} {connection.laddr.ip}:{connection.laddr.port}"
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN and not is_loopback(connection.laddr.ip)
            ]
    return found


def is_loopback(address: str) -> bool:
    """Say whether only this machine can reach an address; IPv4 inside IPv6 included."""
    ip = ipaddress.ip_address(address)
    inner = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (inner or ip).is_loopback


@contextmanager
def running(peer: AnyPeer) -> Iterator[AnyPeer]:
    """Start a peer, end it, and end by process id whatever of it is left then."""
    # multiprocessing keeps one for the whole life of this process.
    resource_tracker.ensure_running()
    before = set(tree())
    below: set[psutil.Process] = set()
    try:
        with peer:
            try:
                outside = heard_from_outside()
                if outside:
                    raise PeerFailed(f"{peer.name} listens beyond loopback: {', '.join(outside)}")
                yield peer
            finally:
                # Afterwards a process whose parent has ended is no longer found below this one.
                below = set(tree()) - before
    finally:
        end((below | set(tree())) - before)


def end(processes: Collection[psutil.Process]) -> None:
    """End processes: ask, wait, kill. Those that have ended already are left in peace."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(processes, GRACE_S)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, GRACE_S)


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Raise `PeerFailed` in the main thread when it is not done in time."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise PeerFailed(f"{what} was not done within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    # There is one such alarm in a process: another's goes on afterwards.
    interrupted = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *interrupted)


def _machine_cpu() -> float:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts a guest's time in user and nice already.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guests)
