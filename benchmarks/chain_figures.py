"""The measurements on the chain, summed up: figures for the table, lines for the plot."""

from __future__ import annotations

import re

import numpy as np

from benchmarks.chain_images import LARGE, SMALL
from benchmarks.chain_measure import ChainFound, Streamed
from benchmarks.report import Better, Figure, Series

CPU_OF = "chain.cpu."
"""Keys of the figures that say what each service used, for a frame of 1 MiB."""


def figures(found: ChainFound, pipeline_ms: float) -> list[Figure]:
    """Sum a chain up.

    Parameters
    ----------
    found : ChainFound
    pipeline_ms : float
        Processor time of `process` on the same images of 1 MiB, in one process.
    """
    return [
        *_start(found),
        *_latency(found),
        *_streams(found, pipeline_ms),
        *_by_service(found.large),
        *_memory(found),
    ]


def files_figures(files: Streamed) -> list[Figure]:
    """Sum the run over files up."""
    group = "chain, files of 1 MiB (.npy), as `haadflow run`"
    return [
        _rate("chain.files.rate", group, files),
        Figure(
            key="chain.files.cpu_ms",
            group=group,
            what="CPU per frame, all services",
            value=files.cpu_ms,
            unit="ms",
        ),
    ]


def series(found: ChainFound) -> dict[str, Series]:
    """Return what the plot shows."""
    return {
        "chain memory": Series(
            x=[at for at, _ in found.resident], y=[mib for _, mib in found.resident]
        )
    }


def _start(found: ChainFound) -> list[Figure]:
    group = "chain, start"
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in found.start_s.items())
    return [
        Figure(
            key="chain.start_s",
            group=group,
            what="until every stage's worker asks for work",
            value=max(found.start_s.values()),
            unit="s",
            note=f"from starting the supervisor; {stages}",
        ),
        Figure(
            key="chain.worker_start_s",
            group=group,
            what="one worker more, of the running chain",
            value=found.extra_worker_s,
            unit="s",
            goal=2.0,
            note="from `scale` until it asks for work",
        ),
        Figure(
            key="chain.rest_cpu",
            group=group,
            what="CPU at rest, all services",
            value=100 * found.rest_cpu,
            unit="% core",
        ),
    ]


def _latency(found: ChainFound) -> list[Figure]:
    group = "chain, one frame of 1 MiB at a time"
    accepted = [1e3 * one.accepted for one in found.singles]
    committed = [1e3 * one.committed for one in found.singles]

    def figure(key: str, what: str, value: float, note: str = "") -> Figure:
        return Figure(key=key, group=group, what=what, value=value, unit="ms", note=note)

    return [
        figure(
            "chain.accept_ms",
            "offered -> accepted, median",
            float(np.median(accepted)),
            "ledger and spool written, answer heard",
        ),
        figure(
            "chain.latency_ms",
            "accepted -> committed, median",
            float(np.median(committed)),
            f"seen in the sink's store by the detector's process; {len(committed)} frames",
        ),
        figure(
            "chain.latency_ms.p99",
            "accepted -> committed, p99",
            float(np.percentile(committed, 99)),
        ),
    ]


def _streams(found: ChainFound, pipeline_ms: float) -> list[Figure]:
    small, large = found.small, found.large
    group = "chain, a detector that offers without pause"
    ours = f"{small.cpu_ms:.3g} ms for a small frame"
    return [
        _rate("chain.small.rate", group, small, f"{SMALL} px, 16 KiB", of="small frames"),
        _rate("chain.large.rate", group, large, f"{LARGE} px, 1 MiB", goal=600.0),
        Figure(
            key="chain.large.cpu_ms",
            group=group,
            what="CPU per frame of 1 MiB, all services",
            value=large.cpu_ms,
            unit="ms",
            note=f"{ours}; the sender {1e3 * large.sender_cpu / large.frames:.2g} ms more",
        ),
        Figure(
            key="chain.large.outside_ms",
            group=group,
            what="of it outside the pipeline",
            value=large.cpu_ms - pipeline_ms,
            unit="ms",
            goal=1.5,
            note=f"`process` in one process takes {pipeline_ms:.3g} ms CPU for these images",
        ),
    ]


def _by_service(large: Streamed) -> list[Figure]:
    found = []
    for service, seconds in large.cpu.items():
        name = re.sub(r"\.\d+$", "", service)
        stage = name.partition(".")[0]
        note = ""
        if name.endswith(".worker") and stage in large.stage_ms:
            note = f"in `handle` {large.stage_ms[stage]:.3g} ms on the wall, median"
        found.append(
            Figure(
                key=f"{CPU_OF}{name}",
                group="CPU per frame of 1 MiB, by service",
                what=name,
                value=1e3 * seconds / large.frames,
                unit="ms",
                note=note,
            )
        )
    return found


def _memory(found: ChainFound) -> list[Figure]:
    group = "chain, resident memory"
    before, after = found.before.resident, found.after.resident
    grown = {name: after[name] - before[name] for name in after}
    worst = max(grown, key=lambda name: grown[name])
    frames = found.small.frames + found.large.frames
    return [
        Figure(
            key="chain.memory_mib",
            group=group,
            what=f"all {len(after)} processes, at the end",
            value=sum(after.values()),
            unit="MiB",
            note=f"{sum(before.values()):.0f} MiB at the start; shared pages counted in each",
        ),
        Figure(
            key="chain.memory_growth",
            group=group,
            what=f"most growth of one, {frames} frames",
            value=grown[worst],
            unit="MiB",
            note=f"{worst}: {before[worst]:.1f} -> {after[worst]:.1f} MiB",
        ),
    ]


def _rate(
    key: str,
    group: str,
    stream: Streamed,
    note: str = "",
    *,
    of: str = "frames of 1 MiB",
    goal: float | None = None,
) -> Figure:
    better: Better = "higher"
    counted = f"{stream.frames} frames to committed coordinates"
    busy = f"others had {stream.others:.1f} cores"
    return Figure(
        key=key,
        group=group,
        what=of,
        value=stream.rate,
        unit="frames/s",
        better=better,
        goal=goal,
        note=", ".join(filter(None, (note, counted, busy))),
    )
