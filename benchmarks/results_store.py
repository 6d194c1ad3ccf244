"""What keeping and writing results costs: `python -m benchmarks.results_store`, about a minute.

The yardstick for the store is in the same run: the plain way, one SQLite row a box, with the same
transactions.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pipeline import box
from protocols.messages import BoundingBox, Envelope, Grid, Located, Metadata, StageRecord
from services.results import ResultStore, Writer
from services.results.csv_tables import BoxesCsv
from services.results.export import export_tables
from services.results.pictures import contact_sheet, draw_overlay
from services.results.record import Record
from services.results.view import View

BATCH = 64
PARENTS = 40 * BATCH
BOXES = 551
"""The paper's mean."""
SMALL_FRAMES = 100_000
WRITER = Writer(software="benchmark", wire_version=1)

STAGES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    (
        "quality_gate",
        {"empty": True, "saturated": True, "polarity": True, "smallest_particle": 0.01},
        {"scaling": {"black": 15131.0, "white": 19023.0}, "quality": {"contrast": 0.4123}},
    ),
    (
        "preprocessing",
        {"sharpen_sigma": 5.0, "sharpen_amount": 5.0, "blur_kernel": 15, "block": 7, "c": 2.0},
        {"cutoff": 57, "bounding_box_cells": [7, 8, 108, 121]},
    ),
    (
        "clustering",
        {"bins": 20, "prominence": 0.05},
        {"k_from": "composition", "centers": [0.0, 81.2, 131.1, 201.9]},
    ),
    ("boxing", {"algorithm": 2, "max_box_percent": 20}, {}),
)


def main() -> None:
    """Measure everything and print one table."""
    table = Table("what", "measured", "", title="results: store and files")
    with tempfile.TemporaryDirectory() as folder:
        _many_small_frames(table, Path(folder))
        table.add_section()
        _store(table, Path(folder))
        table.add_section()
        _files(table, Path(folder))
    Console(width=110).print(table)


def _particles(count: int) -> list[tuple[NDArray[np.int32], NDArray[np.uint8]]]:
    """Cut round particles of four ragged phases into boxes, and keep the first 551 of each."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[-1:1:112j, -1:1:112j]
    particles: list[tuple[NDArray[np.int32], NDArray[np.uint8]]] = []
    while len(particles) < count:
        ragged = rng.normal(0, 0.05, (112, 112))
        angle = np.arctan2(y, x) + rng.uniform(0, 6) + ragged
        labels = (1 + np.floor(angle % (2 * np.pi) / (np.pi / 2))).astype(np.uint8)
        labels[x**2 + y**2 > 0.9 + ragged] = 0
        boxes, regions = box(labels)
        if len(boxes) >= BOXES:
            placed = 8 * (boxes[:BOXES] + np.array([8, 8, 0], np.int32))
            particles.append((placed, regions[:BOXES]))
    return particles


def _located(
    seq: int, boxes: NDArray[np.int32], regions: NDArray[np.uint8], side: int = 1024
) -> Located:
    times = np.random.default_rng(seq).lognormal(1.0, 0.4, len(STAGES))
    return Located(
        envelope=Envelope(
            run="20260101T000000-bench",
            seq=seq,
            metadata=Metadata(
                parent_id=f"particle_{seq:07d}_Au40Ag10Cu10Ni40",
                source=f"survey/particle_{seq:07d}_Au40Ag10Cu10Ni40.tif",
                composition="Au40Ag10Cu10Ni40",
                composition_from="file name",
                n_elements=4,
                pixel_size_nm=0.0512,
            ),
            accepted_unix=1.7e9 + seq,
            stages=tuple(
                StageRecord(stage=name, milliseconds=ms, parameters=parameters, findings=findings)
                for (name, parameters, findings), ms in zip(STAGES, times.tolist(), strict=True)
            ),
        ),
        grid=Grid(rows=128, columns=128, parent_height=side, parent_width=side),
        bounding_box=BoundingBox(x0=64, y0=64, x1=960, y1=960),
        n_peaks=3,
        k=5,
        boxes=boxes,
        regions=regions,
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _store(table: Table, folder: Path) -> None:
    particles = _particles(16)
    frames = [_located(seq, *particles[seq % len(particles)]) for seq in range(PARENTS)]
    batches = [frames[start : start + BATCH] for start in range(0, PARENTS, BATCH)]
    path = folder / "results.sqlite"
    with ResultStore(path, writer=WRITER) as store:
        took = _seconds(lambda: [store.commit(batch) for batch in batches])
    size = path.stat().st_size / PARENTS
    few = batches[:5]
    plain = folder / "plain.sqlite"
    plain_took = _seconds(partial(_one_row_a_box, plain, few)) / len(few)
    plain_size = plain.stat().st_size / (len(few) * BATCH)
    table.add_row(
        f"a parent of {BOXES} boxes",
        f"{size:,.0f} bytes",
        f"in the store; {plain_size / size:.1f} x less than one row a box",
    )
    table.add_row(
        f"commits of {BATCH} such parents",
        f"{len(batches) / took:,.0f} /s",
        f"{PARENTS / took:,.0f} parents/s; {plain_took * len(batches) / took:.1f} x one row a box",
    )
    with ResultStore(path, writer=WRITER) as store:
        again = _seconds(lambda: [store.commit(batch) for batch in batches])
        table.add_row("the same again, ignored", f"{PARENTS / again:,.0f} parents/s", "")
        read = _seconds(lambda: sum(1 for _ in store.results()))
        table.add_row("reading back", f"{PARENTS / read:,.0f} parents/s", "")


def _one_row_a_box(path: Path, batches: list[list[Located]]) -> None:
    """Keep the boxes as anybody would at first."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE boxes (seq INTEGER, place INTEGER, x, y, size, region)")
    db.execute("CREATE UNIQUE INDEX box ON boxes (seq, place)")
    for batch in batches:
        db.execute("BEGIN IMMEDIATE")
        for frame in batch:
            rows = zip(frame.boxes.tolist(), frame.regions.tolist(), strict=True)
            db.executemany(
                "INSERT INTO boxes VALUES (?, ?, ?, ?, ?, ?)",
                [(frame.envelope.seq, n, *xys, region) for n, (xys, region) in enumerate(rows)],
            )
        db.execute("COMMIT")
    db.close()


def _files(table: Table, folder: Path) -> None:
    boxes = PARENTS * BOXES
    with ResultStore(folder / "results.sqlite") as store:
        records: list[Record] = list(store.records())
        with (folder / "alone.csv").open("wb") as file:
            alone = BoxesCsv(file)
            start = time.perf_counter()
            for record in records:
                alone.add(View(record))
            took = time.perf_counter() - start
        table.add_row("boxes.csv alone", f"{boxes / took:,.0f} rows/s", "from decoded results")
        took = _seconds(lambda: export_tables(store, folder / "out"))
        table.add_row("all tables and the summary", f"{boxes / took:,.0f} boxes/s", "")
    for path in sorted((folder / "out").glob("boxes.*")):
        table.add_row(path.name, f"{path.stat().st_size / boxes:.1f} bytes a box", "")
    y, x = np.mgrid[-1:1:1024j, -1:1:1024j]
    noise = np.random.default_rng(1).normal(0, 1500, x.shape)
    image = (np.where(x**2 + y**2 < 0.8, 30_000, 6_000) + noise).astype(np.uint16)
    first = records[0].outcome
    draw_overlay(image, first, folder / "warm.png")
    took = _seconds(lambda: draw_overlay(image, first, folder / "overlay.png"))
    table.add_row("overlay of a 1024 px image", f"{1e3 * took:.0f} ms", f"{BOXES} boxes")
    hundred = [(record.outcome, image) for record in records[:100]]
    took = _seconds(lambda: contact_sheet(hundred, folder / "sheet.png"))
    table.add_row("contact sheet of 100", f"{took:.1f} s", "")


def _many_small_frames(table: Table, folder: Path) -> None:
    boxes = np.array([[8, 8, 8], [16, 8, 8], [8, 16, 16]], np.int32)
    regions = np.array([1, 1, 2], np.uint8)
    quarter = SMALL_FRAMES // 4
    with ResultStore(folder / "small.sqlite", writer=WRITER) as store:
        for done in range(0, SMALL_FRAMES, quarter):
            took = 0.0
            for first in range(done, done + quarter, BATCH):
                last = min(first + BATCH, done + quarter)
                batch = [_located(seq, boxes, regions, 128) for seq in range(first, last)]
                took += _seconds(partial(store.commit, batch))
            table.add_row(
                f"{done + quarter:,} small frames committed",
                f"{_resident():.0f} MiB resident",
                f"{1e6 * took / quarter:.0f} us a frame",
            )
        residents: list[float] = []

        def watch(done: int) -> None:
            if done % quarter == 0:
                residents.append(_resident())

        took = _seconds(partial(export_tables, store, folder / "small", progress=watch))
        table.add_row(
            f"export of {SMALL_FRAMES:,} small frames",
            f"{', '.join(f'{mib:.0f}' for mib in residents)} MiB resident",
            f"at each quarter; {1e6 * took / SMALL_FRAMES:.0f} us a frame",
        )


def _resident() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


if __name__ == "__main__":
    main()
