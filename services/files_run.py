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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .adoption import adopt_ended
from .detectors.file_finding import find_images
from .detectors.formats.image import limits_up_to
from .detectors.metadata import Resolver
from .detectors.references import Reference
from .detectors.stacks import FoundImage, StackRule, each_image
from .runtime.intact import check_whole
from .runtime.ledger import Ledger, NewFrame
from .runtime.places import Places
from .runtime.status import ChainStatus
from .runtime.supervisor import Supervisor
from .runtime.topology import REFINED, STAGES, TOGETHER, TopologyError, one_machine

ALGORITHM = 2
"""Of the published method, if nothing else is said."""
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
    algorithm: int = ALGORITHM
    refined: dict[str, Any] | None = None
    """What is asked of the refined method; None takes the published one."""
    workers: dict[str, int] = field(default_factory=dict)
    together: bool = False
    """Each worker hosts all stages."""
    max_pixels: int | None = None
    """Of one image; None for the default."""
    stack: StackRule = "refuse"
    """What becomes of a file that holds several images."""

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Return the parameters of the stages that run."""
        if self.refined is not None:
            return {REFINED: self.refined}
        return {"boxing": {"algorithm": self.algorithm}}

    @property
    def settings(self) -> dict[str, Any]:
        """Return what a run may not change halfway."""
        always = {
            "algorithm": self.algorithm,
            "composition": self.composition,
            "n_elements": self.n_elements,
        }
        stack = {} if self.stack == "refuse" else {"stack": self.stack}
        method = {} if self.refined is None else {"refined": self.refined}
        return always | stack | method


def workers_for(cores: int) -> dict[str, int]:
    """Return the workers of each stage for a machine with so many cores; at least one each."""
    apart = {stage: max(1, round(cores * SHARES[stage])) for stage in STAGES}
    # Source and sink want about one core of their own.
    return apart | dict.fromkeys((TOGETHER, REFINED), max(1, cores - 1))


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
    resolver = resolver_for(run)
    found = find_images(run.paths, recursive=run.recursive, passed_over=passed_over)
    with Ledger(places.ledger) as ledger:
        check_settings(ledger, run, places)
        adopt_ended(ledger, places)
        images = each_image(found, run.stack, limits_up_to(run.max_pixels))
        ledger.accept(new_frame(resolver, image) for image in images)
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
    with chain_for(run, places, until_drained=True) as supervisor:
        while not supervisor.finished and not stopped():
            supervisor.step(100)
            watch(supervisor.status.current(time.monotonic()))
    return supervisor.finished


@contextmanager
def chain_for(run: FilesRun, places: Places, *, until_drained: bool) -> Iterator[Supervisor]:
    """Start a chain sized to this machine, whose supervisor is the caller's to `step`; stop it."""
    with folder_of_sockets(places) as sockets:
        try:
            topology = one_machine(
                sockets,
                out=places.out.absolute(),
                workers=workers_for(os.cpu_count() or 1) | run.workers,
                parameters=run.parameters,
                together=run.together,
                refined=run.refined is not None,
                max_pixels=run.max_pixels,
            )
        except TopologyError as error:
            raise TopologyError(f"{error}; set TMPDIR to a short path without spaces") from error
        supervisor = Supervisor(topology, places, until_drained=until_drained)
        try:
            supervisor.start()
            yield supervisor
        finally:
            supervisor.stop()


@contextmanager
def folder_of_sockets(places: Places) -> Iterator[Path]:
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


def new_frame(resolver: Resolver, image: FoundImage) -> NewFrame:
    """Return the frame of an image: its key, what is known of it, where it can be read."""
    metadata = resolver.metadata_of(image.found, image.place)
    key = key_of(image.path)
    if image.place is not None:
        key += f" [{image.place + 1}]"
    return NewFrame(key, metadata, str(Reference(image.path, image.place)))


def plain_path(path: Path) -> str:
    """Return a path with which a key begins."""
    absolute = os.fspath(path.absolute())
    if not absolute.isprintable() or "\\" in absolute:
        # Control characters, and bytes that are not UTF-8: spelt out, and so is the backslash.
        absolute = absolute.encode("unicode-escape", "surrogatepass").decode("ascii")
    return absolute


def key_of(path: Path) -> str:
    """Name a file as it is now: one that changes later is another frame."""
    absolute = plain_path(path)
    try:
        status = path.stat()
    except OSError:
        return absolute
    return f"{absolute} {status.st_size} {status.st_mtime_ns}"


def resolver_for(run: FilesRun) -> Resolver:
    """Return what says what is known of each file; ValueError if option or table is wrong."""
    return Resolver(table=run.metadata, composition=run.composition, n_elements=run.n_elements)


def check_settings(ledger: Ledger, run: FilesRun, places: Places) -> None:
    """Note the settings of a new run; refuse others in the folder of an old one: `OtherRun`."""
    settings = json.dumps(run.settings, sort_keys=True)
    known = ledger.about("settings")
    if known is None:
        ledger.note("settings", settings)
    elif known != settings:
        before, now = _by_name(json.loads(known)), _by_name(run.settings)
        changed = "; ".join(
            f"{name} was {_said(before.get(name))}, now it is {_said(now.get(name))}"
            for name in _names(before, now)
            if before.get(name) != now.get(name)
        )
        raise OtherRun(
            f"{places.out} holds a run with other settings: {changed}. "
            "Choose another --out, or remove that folder"
        )


def _by_name(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as an operator gave them: the method, and each wish by itself."""
    wishes: dict[str, Any] | None = settings.get("refined")
    if wishes is None:
        return {"method": "published"} | settings
    # the algorithm is of the published method alone: nobody has chosen one
    shared = {name: settings[name] for name in settings if name not in {"algorithm", "refined"}}
    return {"method": "refined"} | shared | wishes


def _names(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return what can be compared: of two methods, what both have."""
    if before["method"] == now["method"]:
        return list(dict.fromkeys((*before, *now)))
    return [name for name in before if name in now]


def _said(value: object) -> str:
    return "not given" if value is None else str(value)
