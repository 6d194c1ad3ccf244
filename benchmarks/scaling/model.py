"""Where a chain's next bottleneck is: operational analysis on measured costs. Pure functions.

A frame visits resources: threads, worker cores, links. Each has a demand, the seconds it is busy
for one frame. From these follow, without any assumption on distributions (utilisation law), an
upper bound for the throughput; with a window of frames in the chain (a closed network, exact
mean-value analysis), how near to it the chain comes; and, where threads share cores, what they
lose to each other. Times are in seconds, rates in frames per second.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from msgspec import Struct

HALVINGS = 60


class Resource(Struct, frozen=True, kw_only=True):
    """Something that a frame keeps busy.

    Attributes
    ----------
    name
        For people.
    servers
        How many there are that do the same, such as workers; a frame visits one of them.
    seconds
        For which a frame keeps one of them busy.
    seconds_a_worker
        More for each worker of the chain: what is looked up among them all.
    busy_a_worker
        Share of one server that each worker of the chain takes even when there is no frame.
    """

    name: str
    seconds: float
    servers: int = 1
    seconds_a_worker: float = 0.0
    busy_a_worker: float = 0.0

    def demand(self, workers: int) -> float:
        """Return the seconds of a frame with so many workers, on what the workers leave free.

        Infinite when they leave nothing.
        """
        free = 1.0 - self.busy_a_worker * workers
        return inf if free <= 0.0 else (self.seconds + self.seconds_a_worker * workers) / free

    def most(self, workers: int) -> float:
        """Return the frames per second at which it is busy all the time."""
        demand = self.demand(workers)
        return self.servers / demand if demand > 0.0 else inf


def in_order(resources: Sequence[Resource], workers: int) -> list[tuple[Resource, float]]:
    """Return the resources with the most each lets through, the bottleneck first."""
    pairs = [(resource, resource.most(workers)) for resource in resources]
    return sorted(pairs, key=lambda pair: pair[1])


def closed_rate(
    resources: Sequence[Resource], workers: int, *, window: int, delay: float = 0.0
) -> float:
    """Return the throughput with so many frames in the chain, each replaced when it has ended.

    Exact mean-value analysis of a closed network of single servers. Several servers count as one
    that is as many times faster, and a delay for the rest of the service (Seidmann et al. 1987):
    exact for one frame and in the limit of many, close between.

    Parameters
    ----------
    resources
        What a frame visits.
    workers
        Of the chain.
    window
        Frames in the chain, at least 1.
    delay
        Seconds a frame spends where nothing is kept busy.
    """
    if window < 1:
        raise ValueError(f"window: came {window}, expected at least 1")
    demands = [(resource.demand(workers), resource.servers) for resource in resources]
    if any(demand == inf for demand, _ in demands):
        return 0.0
    queues = [demand / servers for demand, servers in demands]
    elsewhere = delay + sum(demand * (servers - 1) / servers for demand, servers in demands)
    lengths = [0.0] * len(queues)
    rate = 0.0
    for frames in range(1, window + 1):
        residence = [one * (1.0 + length) for one, length in zip(queues, lengths, strict=True)]
        rate = frames / (elsewhere + sum(residence))
        lengths = [rate * each for each in residence]
    return rate


def sharing_rate(threads: Sequence[Resource], cores: int) -> float:
    """Return the throughput when all threads share so many cores, the chain always full.

    A thread that has work runs when a core is free. It finds all of them taken by the others with
    the probability u^c, u being the share that the others keep busy of c cores. So a thread of
    demand d is busy or waiting all the time at the rate x where

        x d = 1 - (x (D - d) / c)^c,    D the demand of all threads together,

    and the thread with the lowest x is what the chain waits for. One core gives 1 / D, cores
    without end give 1 / max(d): the two bounds of operational analysis.

    Parameters
    ----------
    threads
        Demands of processor time; `servers` threads share each evenly.
    cores
        At least 1.
    """
    if cores < 1:
        raise ValueError(f"cores: came {cores}, expected at least 1")
    whole = sum(thread.seconds for thread in threads)
    return min((_turn(t.seconds / t.servers, whole, cores) for t in threads), default=inf)


def _turn(own: float, whole: float, cores: int) -> float:
    """Solve for the rate of one thread by halving: the left side grows with x, the right falls."""
    if whole <= 0.0:
        return inf
    low, high = 0.0, cores / whole
    if own > 0.0:
        high = min(high, 1.0 / own)
    for _ in range(HALVINGS):
        x = (low + high) / 2.0
        if x * own <= 1.0 - (x * (whole - own) / cores) ** cores:
            low = x
        else:
            high = x
    return low


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return (intercept, slope) of the straight line through points, by least squares.

    Neither is below zero: they stand for costs.

    Parameters
    ----------
    points
        (x, y), at least two different x.
    """
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread == 0.0:
        raise ValueError(f"points: came {n} at one x, expected two different ones")
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    if slope < 0.0:
        return mean_y, 0.0
    if mean_y < slope * mean_x:
        squares = sum(x * x for x, _ in points)
        return 0.0, sum(x * y for x, y in points) / squares
    return mean_y - slope * mean_x, slope
