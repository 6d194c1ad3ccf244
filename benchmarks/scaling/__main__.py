"""`make bench-scaling`: throughput against workers and cores, and where the next bottleneck is.

    python -m benchmarks.scaling [--only PART ...] [--from FOUND.json] [--docs] [--out FOLDER]

Measures for four minutes, writes scaling.json, and prints the tables of docs/scaling.md. With
`--docs` it writes them, and the plot, into that page. Linux only.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.chain import ChainFailed
from benchmarks.chain_images import LARGE, SMALL, pictures
from benchmarks.report import Machine, NotAReport
from benchmarks.scaling import crowd, found, page, plot, real_chain, records, samples
from benchmarks.scaling.fitted import Costs, Incomplete
from pipeline import warm_up

PARTS = ("chain", "crowd", "records")
OUT = Path("benchmarks/out")
DOCS = Path("docs")
SECONDS = 1.2
"""Of each measurement, beside filling and emptying the chain."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument(
        "--only",
        choices=PARTS,
        nargs="+",
        default=PARTS,
        metavar="PART",
        help=f"measure {', '.join(PARTS)}; the rest as scaling.json has it",
    )
    parser.add_argument("--from", dest="earlier", type=Path, help="measure nothing; read this file")
    parser.add_argument("--docs", action="store_true", help="write docs/scaling.md and its plot")
    parser.add_argument("--out", type=Path, default=OUT, help="folder (default: %(default)s)")
    asked = parser.parse_args(arguments)
    if sys.platform != "linux":
        print("Linux only: it reads processor time by thread as that kernel counts it")
        return 2
    written = asked.out / "scaling.json"
    try:
        if asked.earlier is not None:
            result = found.read(asked.earlier)
        else:
            partly = set(asked.only) != set(PARTS) and written.exists()
            before = found.read(written) if partly else None
            result = _measure(tuple(asked.only), before)
            found.write(result, written)
        costs = Costs(result)
    except (NotAReport, ChainFailed, Incomplete) as error:
        print(error, file=sys.stderr)
        return 1
    tables = page.tables(result, costs)
    for name, text in tables.items():
        print(f"\n[{name}]\n{text}")
    if asked.docs:
        page.rewrite(DOCS / "scaling.md", tables)
    plot.draw(result, costs, (DOCS if asked.docs else asked.out) / "scaling.png")
    return 0


def _measure(parts: tuple[str, ...], before: found.Scaling | None) -> found.Scaling:
    started, load = datetime.now(UTC), os.getloadavg()[0]
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:4.0f} s  {what}", file=sys.stderr, flush=True)

    warm_up()
    kept = {} if before is None else {n: getattr(before, n) for n in before.__struct_fields__}
    wires = [samples.wire(pictures(side)[0]) for side in (LARGE, SMALL)]
    with tempfile.TemporaryDirectory(prefix="haadflow-scaling-") as name:
        folder = Path(name)
        if "chain" in parts:
            kept["points"] = list(real_chain.measure(folder, seconds=SECONDS, tell=tell))
        if "crowd" in parts:
            met = list(crowd.measure(folder, seconds=SECONDS, tell=tell))
            kept["crowds"] = [each for each in met if isinstance(each, found.Point)]
            kept["rests"] = [each for each in met if isinstance(each, found.Rest)]
        if "records" in parts:
            kept["records"] = records.measure(folder, tell=tell)
    machine = Machine.this(quick=False, load_before=load, started=started)
    return msgspec.structs.replace(
        found.Scaling(machine=machine), **{**kept, "machine": machine, "wires": wires}
    )


if __name__ == "__main__":
    sys.exit(main())
