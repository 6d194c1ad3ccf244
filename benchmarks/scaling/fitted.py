"""From what was measured to the model's resources. Milliseconds come in, seconds go out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.scaling.found import Point, Records, Scaling, Wire
from benchmarks.scaling.model import Resource, closed_rate, line, sharing_rate
from services.coordinate_sink import COMMIT_AT_ONCE, GATHER_S

FIT_SIZES = (10, 100, 1_000)
"""Crowds that the cost of a worker more is fitted to; those between are predicted."""
LINKS = {"1 Gbit/s": 117e6, "10 Gbit/s": 1.17e9, "100 Gbit/s": 11.7e9}
"""Bytes a second of TCP payload, 94 % of the name."""
CROWD_OF = {"together": "held", "apart": "own"}
"""The crowd that met the same queue as a layout has."""
CROWD_QUEUE = "image_to_boxes.queue"


class Incomplete(Exception):
    """A part of the measurements is missing: which."""


def fitted_point(points: Iterable[Point], layout: str, side: int) -> Point:
    """Return the point that the model of the real chain is fitted to: one worker, all cores."""
    mine = [p for p in points if p.layout == layout and p.side == side and p.workers == 1]
    if not mine:
        raise Incomplete(f"no measurement of layout {layout} with one worker at {side} px")
    return max(mine, key=lambda point: point.cores)


def predicted(points: Sequence[Point], point: Point) -> float:
    """Predict a point of the real chain from the one with one worker a stage on all cores."""
    fit = fitted_point(points, point.layout, point.side)
    threads = [
        Resource(name=name, seconds=ms / 1e3, servers=point.workers if ".worker/" in name else 1)
        for name, ms in fit.threads.items()
    ]
    return sharing_rate(threads, point.cores)


class Costs:
    """The resources of a chain of any size, every thread with a core of its own.

    Parameters
    ----------
    found
        With all its parts; `Incomplete` says which is missing.
    """

    def __init__(self, found: Scaling) -> None:
        if not found.points or not found.crowds or found.records is None or not found.wires:
            raise Incomplete("a part is missing: run `python -m benchmarks.scaling` without --only")
        self.records: Records = found.records
        self._points = found.points
        self._crowds = found.crowds
        self._rests = found.rests
        self._wires = {wire.side: wire for wire in found.wires}

    def worker_ms(self, layout: str, side: int) -> float:
        """Return what a frame costs its workers, all stages added up."""
        return sum(self._stages(layout, side).values())

    def wire(self, side: int) -> Wire:
        """Return the bytes of a frame's messages."""
        return self._wires[side]

    def workers(
        self, layout: str, side: int, workers: int, *, more_ms: float = 0.0
    ) -> list[Resource]:
        """Return the workers of each stage; those of the first do `more_ms` beside what they did.

        A worker has one core: its two threads take turns there.
        """
        stages = self._stages(layout, side)
        first = next(iter(stages))
        return [
            Resource(
                name="workers" if len(stages) == 1 else f"workers of {stage}",
                seconds=(ms + (more_ms if stage == first else 0.0)) / 1e3,
                servers=workers,
            )
            for stage, ms in stages.items()
        ]

    def serial(self, layout: str, side: int) -> list[Resource]:
        """Return what there is one of: the threads of source, queues, sink and supervisor.

        `together`: the source holds the one queue. `apart`: a queue for each stage, images spooled.
        """
        met = self._met(CROWD_OF[layout], side)
        if layout == "together":
            return met
        queues = [one for one in met if one.name.startswith(CROWD_QUEUE)]
        others = [one for one in met if one.name.startswith(("sink", "supervisor"))]
        found = []
        for name, ms in fitted_point(self._points, layout, side).threads.items():
            service, thread = name.split("/")
            if thread == "other":
                continue
            if service == "source":
                found.append(Resource(name=_shown(name), seconds=ms / 1e3))
            elif service.endswith(".queue"):
                growth = queues[thread == "io"]
                found.append(
                    Resource(
                        name=_shown(name),
                        # The first one's is known as it is with nothing to wait for.
                        seconds=growth.seconds if service == "quality_gate.queue" else ms / 1e3,
                        seconds_a_worker=growth.seconds_a_worker,
                        busy_a_worker=growth.busy_a_worker,
                    )
                )
        return found + others

    def links(self, side: int, link: str) -> list[Resource]:
        """Return the network of the source's host, a key of `LINKS`, all others being elsewhere."""
        wire, rate = self._wires[side], LINKS[link]
        return [
            Resource(name=f"network {link}, in", seconds=wire.offer / rate),
            Resource(name=f"network {link}, out", seconds=wire.image / rate),
        ]

    def sink(self, side: int) -> Resource:
        """Return the sink's main thread when it commits as many outcomes as it may together.

        A commit costs the same however many they are: it is waited for more of them, then for the
        disk.
        """
        each_ms, commit_ms = self.sink_ms(side)
        waits_s = (commit_ms + self.records.sync_ms) / 1e3 + GATHER_S
        return Resource(name="sink", seconds=each_ms / 1e3 + waits_s / COMMIT_AT_ONCE)

    def sink_ms(self, side: int) -> tuple[float, float]:
        """Return the sink's processor time for each outcome, and for each commit."""
        mine = [p for p in self._points if p.side == side]
        most = max(p.cores for p in mine)
        return line([(1.0 / p.commits, p.threads["sink/main"]) for p in mine if p.cores == most])

    def crowd_rate(self, point: Point) -> float:
        """Predict the rate of a crowd whose workers wait."""
        own_ms = sum(
            ms
            for name, ms in self._tilt(point.layout, point.side).threads.items()
            if name.startswith("crowd/")
        )
        wait = Resource(
            name="workers", seconds=(point.work_ms + own_ms) / 1e3, servers=point.workers
        )
        serial = self._met(point.layout, point.side)
        return closed_rate([wait, *serial], point.workers, window=point.window)

    def crowd_ms(self, point: Point, thread: str) -> float:
        """Predict the processor time of a frame in one thread, from crowds of other sizes."""
        frame_s, more_s, busy = self._growth(point.layout, thread)
        return 1e3 * (frame_s + point.workers * (more_s + busy / point.rate))

    def _stages(self, layout: str, side: int) -> dict[str, float]:
        stages: dict[str, float] = {}
        for name, ms in fitted_point(self._points, layout, side).threads.items():
            if ".worker/" in name:
                stage = name.partition(".")[0]
                stages[stage] = stages.get(stage, 0.0) + ms
        return stages

    def _met(self, layout: str, side: int) -> list[Resource]:
        """Return the threads that a crowd met, as they were while no worker waited."""
        found = [self.sink(side)]
        for name, ms in self._tilt(layout, side).threads.items():
            service, thread = name.split("/")
            if service in {"crowd", "detector"} or thread == "other" or name == "sink/main":
                continue
            _, more_s, busy = self._growth(layout, name)
            if thread == "main":
                # To choose the worker. Measured alone: beside it batches vary by more than that.
                holds_queue = service == {"held": "source", "own": CROWD_QUEUE}[layout]
                more_s = line(self.records.dispatch_us)[1] / 1e6 if holds_queue else 0.0
            found.append(
                Resource(
                    name=_shown(name),
                    # Nothing of a frame goes through the supervisor.
                    seconds=0.0 if service == "supervisor" else ms / 1e3,
                    seconds_a_worker=0.0 if service == "supervisor" else more_s,
                    busy_a_worker=busy,
                )
            )
        return found

    def _tilt(self, layout: str, side: int) -> Point:
        for point in self._crowds:
            if point.layout == layout and point.side == side and not point.work_ms:
                return point
        raise Incomplete(f"no crowd without waiting, queue {layout}, {side} px")

    def _growth(self, layout: str, thread: str) -> tuple[float, float, float]:
        """Return a frame's seconds in a thread, more for each worker, and its share of a core."""
        rests = [rest for rest in self._rests if rest.layout == layout]
        at_rest = [(r.workers, r.busy.get(thread, 0.0)) for r in rests if r.workers in FIT_SIZES]
        _, busy = line(at_rest)
        frame_s, more_s = line(
            [
                (p.workers, max(0.0, p.threads.get(thread, 0.0) / 1e3 - busy * p.workers / p.rate))
                for p in self._crowds
                if p.layout == layout and p.workers in FIT_SIZES and p.work_ms
            ]
        )
        return frame_s, more_s, busy


def _shown(thread: str) -> str:
    return thread.replace("/main", "").replace("/io", " I/O")
