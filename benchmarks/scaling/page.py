"""The tables of docs/scaling.md, written into the page between marks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.chain_images import LARGE, SMALL
from benchmarks.report import significant
from benchmarks.scaling import crowd
from benchmarks.scaling.fitted import FIT_SIZES, LINKS, Costs, fitted_point, predicted
from benchmarks.scaling.found import Point, Scaling
from benchmarks.scaling.model import Resource, closed_rate, in_order
from services.runtime.process import BEAT_SECONDS
from services.stage_queue import PROBE_EVERY_S

SIZES = (10, 100, 1_000)
PARTICLES = 1_000_000
ANSWER_LINKS = ("10 Gbit/s", "100 Gbit/s")
HEAVY_MS = 100.0
"""Work of a stage that is not here yet, for which a thousand workers would be needed."""
LAYOUTS = ("together", "apart")
NAMES = {LARGE: "1 MiB", SMALL: "16 KiB"}
SPAN = re.compile(r"(<!-- measured: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class NoSuchTable(Exception):
    """The page asks for a table that is not made, or misses one that is."""


def rewrite(page: Path, tables: Mapping[str, str]) -> None:
    """Put each table between its marks; what stands outside them stays."""
    page.write_text(filled(page.read_text(encoding="utf-8"), tables), encoding="utf-8")


def filled(text: str, tables: Mapping[str, str]) -> str:
    """Return the text with each table between its marks `<!-- measured: NAME -->`, `<!-- end -->`.

    Raises
    ------
    NoSuchTable
        If the names of the text are not those of the tables.
    """
    asked = {found[1] for found in SPAN.findall(text)}
    if asked != set(tables):
        raise NoSuchTable(f"the page has {sorted(asked)}, there are {sorted(tables)}")
    return SPAN.sub(lambda found: f"{found[1]}\n{tables[found[2]]}\n\n{found[3]}", text)


def tables(found: Scaling, costs: Costs) -> dict[str, str]:
    """Return every table in Markdown, by its name."""
    return {
        "machine": f"{found.machine.line.replace(chr(10), '; ')}.",
        "answers": _answers(costs),
        "chain": _chain(found.points),
        "errors": _errors(found, costs),
        "crowd": _crowd(found, costs),
        "resources": _resources(costs),
        "million": _million(found, costs),
    }


def _answers(costs: Costs) -> str:
    """For each number of workers: what is the bottleneck, and what comes of it."""
    rows = []
    for more_ms in (0.0, HEAVY_MS):
        for layout in LAYOUTS:
            for workers in SIZES:
                own = costs.workers(layout, LARGE, workers, more_ms=more_ms)
                row = [f"{costs.worker_ms(layout, LARGE) + more_ms:.3g} ms", layout, f"{workers:,}"]
                for link in ANSWER_LINKS:
                    others = [*costs.serial(layout, LARGE), *costs.links(LARGE, link)]
                    (first, most), *_ = in_order([*own, *others], workers)
                    row += [f"**{first.name}**", significant(most), _hours(PARTICLES / most)]
                # Of the wider link: there the chain itself is the limit.
                held = closed_rate([*own, *others], workers, window=crowd.DEFAULT_WINDOW)
                fed = workers * in_order(others, workers)[0][1] / in_order(own, workers)[0][1]
                rows.append((*row, significant(held), significant(fed)))
    links = []
    for link in ANSWER_LINKS:
        links += [f"bottleneck at {link}", "frames/s at most", "1,000,000 take"]
    heading = (
        "work of a frame",
        "layout",
        "workers a stage",
        *links,
        f"frames/s with a window of {crowd.DEFAULT_WINDOW}",
        "workers a stage that one chain feeds",
    )
    return _table(heading, rows)


def _chain(points: Sequence[Point]) -> str:
    rows = []
    for layout in LAYOUTS:
        for side, name in NAMES.items():
            mine = [p for p in points if p.layout == layout and p.side == side]
            for cores in sorted({p.cores for p in mine}, reverse=True):
                line = sorted((p for p in mine if p.cores == cores), key=lambda p: p.workers)
                rows.append(
                    (
                        layout,
                        name,
                        str(cores),
                        *(_beside(p.rate, predicted(points, p), _is_fit(points, p)) for p in line),
                        f"{line[0].cpu_ms:.2f} .. {line[-1].cpu_ms:.2f} ms",
                        f"{max(p.others for p in line):.1f}",
                    )
                )
    workers = sorted({p.workers for p in points})
    heading = ("layout", "frames of", "cores", *(f"{n} a stage" for n in workers))
    return _table((*heading, "CPU a frame", "cores others had"), rows)


def _errors(found: Scaling, costs: Costs) -> str:
    """How far the model is from what it was not fitted to."""
    groups: list[tuple[str, list[tuple[float, float]]]] = []
    for layout in LAYOUTS:
        for what, one in (("all cores", False), ("one core", True)):
            pairs = [
                (predicted(found.points, p), p.rate)
                for p in found.points
                if p.layout == layout and (p.cores == 1) == one and not _is_fit(found.points, p)
            ]
            groups.append((f"rate of the chain {layout}, {what}", pairs))
    waiting = [p for p in found.crowds if p.work_ms]
    rates = [(costs.crowd_rate(p), p.rate) for p in waiting]
    groups.append(("rate of light workers, 10 to 1,000", rates))
    for layout, thread in (("held", "source/io"), ("own", "image_to_boxes.queue/io")):
        pairs = [
            (costs.crowd_ms(p, thread), p.threads[thread])
            for p in waiting
            if p.layout == layout and p.workers not in FIT_SIZES and p.window > p.workers
        ]
        groups.append((f"CPU of {thread} with 30 and 300 light workers", pairs))
    rows = []
    for what, pairs in groups:
        errors = [100.0 * (predicted / measured - 1.0) for predicted, measured in pairs]
        if errors:
            size = median(abs(error) for error in errors)
            span = f"{min(errors):+.0f} % .. {max(errors):+.0f} %"
            rows.append((what, str(len(errors)), f"{size:.0f} %", span))
    heading = ("what", "predictions", "error, median of the sizes", "predicted - measured")
    return _table(heading, rows)


def _crowd(found: Scaling, costs: Costs) -> str:
    queue = {"held": "source/main", "own": "image_to_boxes.queue/main"}
    rows = []
    for point in sorted(found.crowds, key=lambda p: (p.layout, not p.work_ms, p.workers)):
        at_rest = [
            rest.busy
            for rest in found.rests
            if (rest.layout, rest.workers) == (point.layout, point.workers)
        ]
        supervisor = [
            100 * sum(cores for name, cores in busy.items() if name.startswith("supervisor/"))
            for busy in at_rest
        ]
        rows.append(
            (
                f"{point.workers:,}",
                "in the source" if point.layout == "held" else "of its own",
                f"{point.window:,}",
                NAMES[point.side],
                f"{point.work_ms:,.0f} ms" if point.work_ms else "not at all",
                _beside(point.rate, costs.crowd_rate(point))
                if point.work_ms
                else significant(point.rate),
                f"{point.threads[queue[point.layout]]:.2f} ms",
                f"{point.threads[queue[point.layout].replace('/main', '/io')]:.2f} ms",
                f"{supervisor[-1]:.1f} %" if supervisor else "",
                f"{point.others:.1f}",
            )
        )
    heading = (
        "light workers",
        "queue",
        "window",
        "frames of",
        "each waits",
        "frames/s (model)",
        "CPU a frame, main thread of the queue's process",
        "its I/O thread",
        "supervisor, a core's share at rest",
        "cores others had",
    )
    return _table(heading, rows)


def _resources(costs: Costs) -> str:
    """Every resource of both layouts: its demand, and how much it lets through."""
    rows = []
    for layout in LAYOUTS:
        every = [*costs.serial(layout, LARGE)]
        for link in LINKS:
            every += costs.links(LARGE, link)
        ordered = [one for one, _ in in_order(every, SIZES[1])]
        every = [*costs.workers(layout, LARGE, 1), *ordered]
        rows += [_resource_row(layout, one) for one in every]
    heading = ("layout", "resource", "busy a frame", *(f"{n:,} workers" for n in SIZES))
    return _table(heading, rows)


def _resource_row(layout: str, one: Resource) -> tuple[str, ...]:
    if one.seconds == 0.0:
        shares = [f"{100 * one.busy_a_worker * n:.2g} % busy" for n in SIZES]
        return (layout, one.name, "", *shares)
    # Workers are as many as there are of them.
    each = SIZES if one.name.startswith("workers") else (1, 1, 1)
    most = [significant(n * one.most(size)) for n, size in zip(each, SIZES, strict=True)]
    return (layout, one.name, f"{1e3 * one.seconds:.3f} ms", *most)


def _million(found: Scaling, costs: Costs) -> str:
    records = costs.records
    each, commit = costs.sink_ms(LARGE)
    point = fitted_point(found.points, "together", LARGE)
    grown = ", ".join(f"{frames:,}: {us:.0f}" for frames, us in records.ledger_us)
    stored = ", ".join(f"{frames:,}: {us:.0f}" for frames, us in records.store_us)
    given = ", ".join(f"{workers:,}: {us:.0f}" for workers, us in records.dispatch_us)
    batches = ", ".join(f"{size}: {wall:.0f}" for size, wall, _ in records.commit_us)
    wire = costs.wire(LARGE)
    rows = [
        ("ledger, us CPU to accept and close a frame, by frames in it", grown),
        ("ledger of a million frames", f"{records.ledger_bytes * PARTICLES / 1e6:,.0f} MB"),
        ("begin with that ledger", f"{records.ledger_open_s:.2g} s"),
        ("queue, us CPU to give a frame out and take it back, by its workers", given),
        ("store, us CPU to commit an outcome, by outcomes in it", stored),
        ("store of a million outcomes", f"{records.store_bytes * PARTICLES / 1e9:.2g} GB"),
        ("commit, us on the wall an outcome, by outcomes committed together", batches),
        ("sink in the chain", f"{each:.2f} ms CPU an outcome and {commit:.2f} ms a commit"),
        ("one fsync here", f"{records.sync_ms:.2g} ms"),
        (
            "passed to write() a frame, together: source, sink",
            f"{point.written['source'] / 1e3:,.0f}, {point.written['sink'] / 1e3:,.0f} kB",
        ),
        ("disk here, sequential, fsynced", f"{records.disk_mib_s:,.0f} MiB/s"),
        ("memory here, copying, one thread", f"{records.copy_mib_s:,.0f} MiB/s"),
        (
            "messages of a 1 MiB frame: offer, image, outcome",
            f"{wire.offer / 1e3:,.0f}, {wire.image / 1e3:,.0f}, {wire.outcome / 1e3:.1f} kB",
        ),
        ("images of a million frames", f"{PARTICLES * wire.image / 1e12:.2g} TB through each link"),
        ("memory of a worker", f"{point.worker_mib:.0f} MiB; {_workers_memory(point)}"),
        ("beats a second of 10, 100, 1,000 workers", _each(1.0 / BEAT_SECONDS)),
        ("probes a second, from their queue", _each(1.0 / PROBE_EVERY_S)),
        ("connections to their queue, to the sink and to the supervisor, each", _each(1.0)),
    ]
    return _table(("what", "measured"), rows)


def _workers_memory(point: Point) -> str:
    return ", ".join(f"{n:,} take {point.worker_mib * n / 1024:,.0f} GiB" for n in SIZES)


def _each(factor: float) -> str:
    return ", ".join(f"{factor * n:,.0f}" for n in SIZES)


def _is_fit(points: Sequence[Point], point: Point) -> bool:
    return fitted_point(points, point.layout, point.side) is point


def _beside(measured: float, model: float, is_fit: bool = False) -> str:
    return f"{significant(measured)} ({significant(model)}{', fit' if is_fit else ''})"


def _hours(seconds: float) -> str:
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
