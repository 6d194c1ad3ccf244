"""`haadflow run` without its terminal: files through a chain of their own on this machine.

The files are written into the ledger first, as references; then the chain is started, and ends
itself when all of them are closed. Ledger and results stay in the output folder, so the same call
goes on where an earlier one stopped.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .adoption import adopt_ended
from .detectors.file_finding import Found, find_images
from .detectors.metadata import Resolver
from .runtime.intact import check_whole
from .runtime.ledger import Ledger, NewFrame
from .runtime.places import Places
from .runtime.status import ChainStatus
from .runtime.supervisor import Supervisor
from .runtime.topology import STAGES, TOGETHER, TopologyError, one_machine

SOCKETS = "haadflow-"
"""Begins the name of the folder that holds a run's sockets."""
SHARES = {"quality_gate": 0.4, "preprocessing": 0.3, "clustering": 0.2, "boxing": 0.1}
"""Of the cores, by what the stages cost an image of 1024 px (docs/performance.md)."""


class OtherRun(Exception):
    """The output folder holds a run with other settings: which, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesRun:
    """What `haadflow run` was asked to do."""

    paths: Sequence[Path]
    out: Path
    recursive: bool = False
    metadata: Path | None = None
    composition: str | None = None
    n_elements: int | None = None
    algorithm: int = 2
    workers: dict[str, int] = field(default_factory=dict)
    together: bool = False
    """Each worker hosts all stages."""
    max_pixels: int | None = None
    """Of one image; None for the default."""

    @property
    def settings(self) -> dict[str, Any]:
        """Return what a run may not change halfway."""
        return {
            "algorithm": self.algorithm,
            "composition": self.composition,
            "n_elements": self.n_elements,
        }


def workers_for(cores: int) -> dict[str, int]:
    """Return the workers of each stage for a machine with so many cores; at least one each."""
    apart = {stage: max(1, round(cores * SHARES[stage])) for stage in STAGES}
    # Source and sink want about one core of their own.
    return apart | {TOGETHER: max(1, cores - 1)}


def check_out(run: FilesRun) -> None:
    """Refuse an output folder that holds the images, or that JSON cannot name: `OtherRun`."""
    check_name(run.out)
    for path in run.paths:
        if path.is_dir() and path.resolve() == run.out.resolve():
            raise OtherRun(f"--out {run.out} is where the images are; choose another folder")


def check_name(out: Path) -> None:
    """Refuse a name that is not UTF-8, `OtherRun`: the topology and the results are to hold it."""
    try:
        os.fspath(out.absolute()).encode()
    except UnicodeEncodeError as error:
        raise OtherRun(f"--out {out}: this name is not UTF-8; choose another") from error


def accept_files(
    run: FilesRun,
    places: Places,
    *,
    passed_over: Counter[str] | None = None,
    remarks: list[str] | None = None,
) -> tuple[int, int]:
    """Write the files into the ledger; return how many frames it holds and how many are open.

    `passed_over` counts what is not taken, see `find_images`; `remarks` gets what was said of
    images and is not used, see `Resolver.remarks`.

    Raises
    ------
    OtherRun
        The folder holds a run with other settings.
    ValueError
        The composition or the metadata table is wrong.
    DamagedFile
        The folder's ledger or results are.
    """
    check_whole((places.ledger, places.results))
    resolver = Resolver(table=run.metadata, composition=run.composition, n_elements=run.n_elements)
    found = find_images(run.paths, recursive=run.recursive, passed_over=passed_over)
    with Ledger(places.ledger) as ledger:
        _check_settings(ledger, run, places)
        adopt_ended(ledger, places)
        ledger.accept(_new_frames(resolver, found))
        ledger.forget_epochs()
        if remarks is not None:
            remarks += resolver.remarks()
        return ledger.accepted(), ledger.open_count()


def run_chain(
    run: FilesRun,
    places: Places,
    *,
    watch: Callable[[ChainStatus], None],
    stopped: Callable[[], bool],
) -> bool:
    """Run the chain until all frames are closed; False when `stopped` said so before.

    `watch` is called several times a second with the chain's figures.
    """
    with _folder_of_sockets(places) as sockets:
        try:
            topology = one_machine(
                sockets,
                out=places.out.absolute(),
                workers=workers_for(os.cpu_count() or 1) | run.workers,
                parameters={"boxing": {"algorithm": run.algorithm}},
                together=run.together,
                max_pixels=run.max_pixels,
            )
        except TopologyError as error:
            raise TopologyError(f"{error}; set TMPDIR to a short path without spaces") from error
        supervisor = Supervisor(topology, places, until_drained=True)
        try:
            supervisor.start()
            while not supervisor.finished and not stopped():
                supervisor.step(100)
                watch(supervisor.status.current(time.monotonic()))
        finally:
            supervisor.stop()
        return supervisor.finished


@contextmanager
def _folder_of_sockets(places: Places) -> Iterator[Path]:
    """Make a folder for the sockets, and remove it; first the one that a killed run has left.

    Not in the output folder: a Unix socket's path is short, and a network share takes none.
    """
    if places.sockets.exists():
        _remove_sockets(Path(os.fsdecode(places.sockets.read_bytes())))
    folder = Path(tempfile.mkdtemp(prefix=SOCKETS))
    try:
        places.sockets.write_bytes(os.fsencode(folder))
        yield folder
    finally:
        _remove_sockets(folder)
        places.sockets.unlink(missing_ok=True)


def _remove_sockets(folder: Path) -> None:
    if not folder.is_absolute() or not folder.name.startswith(SOCKETS):
        return  # the note was cut short by a kill, or is not ours
    with suppress(OSError):  # gone, or no folder of ours
        for path in folder.iterdir():
            if path.is_socket():
                path.unlink()
        folder.rmdir()


def _new_frames(resolver: Resolver, found: Iterable[Found]) -> Iterator[NewFrame]:
    for image in found:
        metadata = resolver.metadata_of(image)
        yield NewFrame(_key(image.path), metadata, os.fspath(image.path.absolute()))


def _key(path: Path) -> str:
    """Name a file as it is now: one that changes later is another frame."""
    absolute = os.fspath(path.absolute())
    if not absolute.isprintable() or "\\" in absolute:
        # Control characters, and bytes that are not UTF-8: spelt out, and so is the backslash.
        absolute = absolute.encode("unicode-escape", "surrogatepass").decode("ascii")
    try:
        status = path.stat()
    except OSError:
        return absolute
    return f"{absolute} {status.st_size} {status.st_mtime_ns}"


def _check_settings(ledger: Ledger, run: FilesRun, places: Places) -> None:
    settings = json.dumps(run.settings, sort_keys=True)
    known = ledger.about("settings")
    if known is None:
        ledger.note("settings", settings)
    elif known != settings:
        before = json.loads(known)
        changed = "; ".join(
            f"{name} was {_said(before.get(name))}, now it is {_said(value)}"
            for name, value in run.settings.items()
            if before.get(name) != value
        )
        raise OtherRun(
            f"{places.out} holds a run with other settings: {changed}. "
            "Choose another --out, or remove that folder"
        )


def _said(value: object) -> str:
    return "not given" if value is None else str(value)
