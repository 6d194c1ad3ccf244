"""From the rounds of a peer to the figures of its column."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from benchmarks.peers.kill import Killed
from benchmarks.peers.peer import Peer
from benchmarks.peers.stream import Cost, Heard


class Round(NamedTuple):
    """A peer started, measured and ended once."""

    start_s: float
    """From starting it to the first result."""
    wide: Heard
    wide_cost: Cost
    narrow: Heard
    narrow_cost: Cost
    wrong: int
    """Results that have another number of boxes than `process` finds."""
    killed: Killed


class Column(Struct, frozen=True, kw_only=True):
    """What was found of one peer. Where there are several rounds: the median, and all of them.

    Attributes
    ----------
    name, version, workers, counted
        As the peer says of itself; `counted` is how `moved_bytes` was found.
    rate, rates
        Images per second, `wide_window` in flight.
    latency_ms, latency_p99_ms, latencies_ms
        `narrow_window` in flight, all rounds together; the median of each round.
    narrow_rate
        Images per second meanwhile.
    cpu_ms
        Processor milliseconds per image, of all processes and the caller, `wide_window` in flight.
    caller_cpu_ms
        Of these, the caller's process.
    moved_bytes, written_bytes
        Per image; `written_bytes` is what all processes passed to `write`: files and pipes.
    start_s, starts_s
        From starting it to the first result.
    wrong
        Results that have another number of boxes than `process` finds.
    others
        Cores everything else had at work while the rates were measured, one a round.
    killed
        One a round.
    """

    name: str
    version: str
    workers: str
    counted: str
    rate: float
    rates: list[float]
    latency_ms: float
    latency_p99_ms: float
    latencies_ms: list[float]
    narrow_rate: float
    cpu_ms: float
    caller_cpu_ms: float
    moved_bytes: float
    written_bytes: float
    start_s: float
    starts_s: list[float]
    wrong: int
    others: list[float]
    killed: list[Killed]


def column(peer: Peer, rounds: Sequence[Round]) -> Column:
    """Sum the rounds of a peer up."""
    rates = [rate(one.wide) for one in rounds]
    latencies = [1e3 * seconds for one in rounds for seconds in one.narrow.latencies]
    starts = [one.start_s for one in rounds]
    return Column(
        name=peer.name,
        version=peer.version,
        workers=peer.workers,
        counted=peer.counted,
        rate=median(rates),
        rates=rates,
        latency_ms=median(latencies),
        latency_p99_ms=float(np.percentile(latencies, 99)),
        latencies_ms=[1e3 * median(one.narrow.latencies) for one in rounds],
        narrow_rate=median(rate(one.narrow) for one in rounds),
        cpu_ms=median(1e3 * one.wide_cost.cpu / len(one.wide.results) for one in rounds),
        caller_cpu_ms=median(1e3 * one.wide_cost.caller / len(one.wide.results) for one in rounds),
        moved_bytes=median(one.wide_cost.moved / len(one.wide.results) for one in rounds),
        written_bytes=median(one.wide_cost.written / len(one.wide.results) for one in rounds),
        start_s=median(starts),
        starts_s=starts,
        wrong=sum(one.wrong for one in rounds),
        others=[one.wide_cost.others for one in rounds],
        killed=[one.killed for one in rounds],
    )


def rate(heard: Heard) -> float:
    """Return the results per second."""
    return len(heard.results) / heard.seconds
