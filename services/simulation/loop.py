"""A simulated microscope, whole: its survey through the chain, its boxes acquired, both compared.

Instrument and adapter run in an environment of their own (deploy/controllers/); here are the chain,
the clock and the comparison.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from protocols.messages import Located
from services.controllers.nion_files import file_of
from services.feed.store import FeedError, FeedStore
from services.files_run import folder_of_sockets
from services.results import ResultStore
from services.results.whole_files import write_whole
from services.runtime.places import Places
from services.runtime.supervisor import Supervisor
from services.runtime.topology import one_machine

from .picture import draw_acquired
from .witness import Witness, nion_witness, point_witness

Instrument = Literal["nion", "direct-electron"]
NEEDS = {"nion": "nion.usim_device", "direct-electron": "de_twin"}
WITNESS_EVERY = 40
"""The camera goes along on every so many boxes: each takes the simulator 0.6 s."""
POINTS_PER_EDGE = 1
PATIENCE_S = 120.0
"""So long nothing may happen: no box that gets a receipt, nor what else is waited for."""
STEP_MS = 50
ENDING_S = 20.0


class SimulationFailed(Exception):
    """The loop did not close; says where."""


class Simulation(Struct, frozen=True, kw_only=True):
    """What `simulation.json` says."""

    controller: Instrument
    boxes: int
    acquired: int
    """By their receipts."""
    max_abs_error: float
    receipts: dict[str, int]
    """By status; `open` are without one."""
    time_to_coordinates_s: float
    """From the chain's acceptance of the survey image to committed boxes."""
    acquisition_s: float
    """From the adapter's start to the last receipt: simulator, adapter and its restart included."""
    adapter_killed: bool
    points: int
    """Positions of the probe, counted by the simulated instrument."""
    full_grid_points: int
    saving: float
    """full_grid_points / points."""
    witness: Witness

    @property
    def closes(self) -> bool:
        """Say whether every box was acquired once, where it should be, and nothing else was."""
        seen = self.witness
        return (
            self.boxes == self.acquired == seen.acquired
            and self.max_abs_error == seen.max_position_error_px == 0
            and seen.positions_checked > 0
            and not (seen.twice or seen.missing or seen.strangers or seen.frames_lost)
        )


def simulate(
    specimen: NDArray[Any] | None,
    instrument: Instrument,
    out: Path,
    *,
    python: str,
    kill_after: int | None = None,
    tell: Callable[[str], None] = lambda _text: None,
) -> Simulation:
    """Close the loop once.

    Parameters
    ----------
    specimen
        (height, width), for a Nion microscope; the Direct Electron twin has one of its own.
    out
        An empty folder, or one that is made: gets the run, `simulation.json`, `simulation.png`.
    python
        Interpreter of the environment in which the instrument's packages are.
    kill_after
        Kill the adapter (SIGKILL) when so many boxes have receipts, and start it again.
    tell
        Called with what happens.

    Raises
    ------
    SimulationFailed
        Something did not come to its end.
    """
    places = Places(out)
    places.make()
    microscope = out / "microscope"
    microscope.mkdir(exist_ok=True)
    with folder_of_sockets(places) as sockets, _chain(places, sockets) as chain:
        chain.until(chain.is_ready, "start of the chain")
        tell("the microscope scans its specimen, and offers the image to the chain")
        with _instrument(instrument, specimen, chain, microscope, python) as settings:
            coordinates_s = _coordinates(places, chain)
            tell(f"boxes after {coordinates_s:.3f} s; the adapter acquires them")
            haadflow = str(Path(python).with_name("haadflow"))
            command = [haadflow, "controller", instrument, "--feed", chain.feed]
            command += ["--journal", str(microscope / "journal.sqlite")]
            for key, value in settings.items():
                command += ["--set", f"{key}={value}"]
            took_s, killed = _acquire(command, places, chain, kill_after, tell)
    return _compare(instrument, places, microscope, (coordinates_s, took_s), killed=killed)


class _Running:
    """The chain that this process drives, with the children that must not outlive it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.offers = supervisor.topology.source.offers or ""
        self.feed = supervisor.topology.feed.batches or ""

    def is_ready(self) -> bool:
        """Say whether a worker has asked for work: then its kernels are loaded."""
        status = self._supervisor.status.current(time.monotonic())
        return any(stage.workers for stage in status.stages)

    def until(
        self,
        done: Callable[[], bool],
        what: str,
        *children: subprocess.Popen[bytes],
        progress: Callable[[], int] = lambda: 0,
    ) -> None:
        """Drive the chain until something is done; `SimulationFailed` if nothing goes on."""
        deadline = time.monotonic() + PATIENCE_S
        reached = 0
        while not done():
            if progress() > reached:
                reached = progress()
                deadline = time.monotonic() + PATIENCE_S
            self._supervisor.step(STEP_MS)
            for child in children:
                if child.poll() is not None and not done():
                    raise SimulationFailed(
                        f"{what}: {child.args!r:.300} ended with status {child.returncode}"
                    )
            if time.monotonic() > deadline:
                raise SimulationFailed(f"{what}: nothing has happened for {PATIENCE_S:g} s")


@contextmanager
def _chain(places: Places, sockets: Path) -> Iterator[_Running]:
    """Run a chain for few cores with a feed; it ends with the block."""
    topology = one_machine(
        sockets, out=places.out.absolute(), workers={}, parameters={}, together=True
    )
    source = msgspec.structs.replace(topology.source, offers=f"ipc://{sockets}/offers")
    topology = msgspec.structs.replace(topology, source=source).feeding(f"ipc://{sockets}/feed")
    supervisor = Supervisor(topology, places, until_drained=False)
    supervisor.start()
    try:
        yield _Running(supervisor)
    finally:
        supervisor.stop()


@contextmanager
def _instrument(
    instrument: Instrument,
    specimen: NDArray[Any] | None,
    chain: _Running,
    microscope: Path,
    python: str,
) -> Iterator[dict[str, str]]:
    """Let the instrument offer its survey; yield what its adapter is told."""
    acquired = microscope / "acquired"
    if instrument == "nion":
        path = microscope / "specimen.npy"
        np.save(path, specimen if specimen is not None else np.zeros((0, 0)))
        survey = _start(
            [python, "-m", "services.simulation.nion_survey", path, chain.offers, microscope]
        )
        with survey:
            chain.until(lambda: survey.poll() is not None, "survey")
        if survey.returncode != 0:
            raise SimulationFailed(f"survey: ended with status {survey.returncode}")
        camera = {"camera": "witness_camera", "camera_every": str(WITNESS_EVERY)}
        yield {"specimen": str(path), "out": str(acquired), **camera}
        return
    twin = _start(
        [python, "-m", "services.simulation.de_twin", chain.offers, microscope],
        stdin=subprocess.PIPE,
    )
    try:
        port = microscope / "port"
        chain.until(port.exists, "survey", twin)
        yield {
            "port": port.read_text(),
            "out": str(acquired),
            "points_per_edge": str(POINTS_PER_EDGE),
        }
    finally:
        _end(twin)


def _acquire(
    command: list[str],
    places: Places,
    chain: _Running,
    kill_after: int | None,
    tell: Callable[[str], None],
) -> tuple[float, bool]:
    """Run the adapter until every box has a receipt.

    Return how long that took, in seconds, and whether the adapter was killed in between.
    """

    def receipted() -> int:
        return _receipted(places)

    started = time.monotonic()
    adapter = _start(command)
    killed = False
    try:
        if kill_after is not None:
            boxes = _boxes(places, chain)
            if kill_after >= boxes:
                raise SimulationFailed(
                    f"kill after {kill_after} boxes: there are {boxes}; expected fewer than that"
                )
            chain.until(
                lambda: receipted() >= kill_after, "acquisition", adapter, progress=receipted
            )
            killed = _open(places) > 0
            adapter.send_signal(signal.SIGKILL)
            adapter.wait()
            tell(f"the adapter was killed after {_receipted(places)} boxes, and starts again")
            adapter = _start(command)
        chain.until(lambda: _open(places) == 0, "acquisition", adapter, progress=receipted)
        took_s = time.monotonic() - started
    finally:
        _end(adapter)
    return took_s, killed


def _start(command: list[Any], stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    # In the environment of the instrument only what that environment has is imported.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.Popen(
        [str(part) for part in command], stdin=stdin, stdout=sys.stderr.fileno(), env=environment
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    elif process.poll() is None:
        process.terminate()
    try:
        process.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _coordinates(places: Places, chain: _Running) -> float:
    """Wait until the boxes are committed; return the seconds from acceptance to that."""

    def ended() -> bool:
        with suppress(Exception), ResultStore(places.results) as store:
            return store.counts().total > 0
        return False

    chain.until(ended, "coordinates")
    with ResultStore(places.results) as store:
        record = next(store.records())
    if not isinstance(record.outcome, Located):
        raise SimulationFailed(f"coordinates: the chain found nothing to scan: {record.outcome}")
    return record.created_unix - record.outcome.envelope.accepted_unix


def _receipts(places: Places) -> dict[str, int]:
    """Count the boxes by receipt, `open` ones too; empty while the feed has no batch."""
    with suppress(FeedError), FeedStore(places.feed, read_only=True) as store:
        counts: dict[str, int] = {}
        for sums in store.sums().values():
            for status in ("boxes", "acquired", "rejected", "failed"):
                counts[status] = counts.get(status, 0) + getattr(sums, status)
        boxes = counts.pop("boxes")
        return counts | {"open": boxes - sum(counts.values())} if boxes else {}
    return {}


def _receipted(places: Places) -> int:
    counts = _receipts(places)
    return sum(counts.values()) - counts.get("open", 0)


def _boxes(places: Places, chain: _Running) -> int:
    """Wait until the feed has the batch; count its boxes."""
    chain.until(lambda: bool(_receipts(places)), "batch")
    return sum(_receipts(places).values())


def _open(places: Places) -> int:
    """Count the boxes without a receipt; while there is no batch yet, say one."""
    return _receipts(places).get("open", 1)


def _compare(
    instrument: Instrument,
    places: Places,
    microscope: Path,
    took_s: tuple[float, float],
    *,
    killed: bool,
) -> Simulation:
    coordinates_s, acquisition_s = took_s
    survey = np.load(microscope / "survey.npy", allow_pickle=False)
    with ResultStore(places.results) as store:
        result = next(store.results())
    if not isinstance(result, Located):
        raise SimulationFailed(f"comparison: the chain found nothing to scan: {result}")
    acquired = microscope / "acquired"
    if instrument == "nion":
        folder = file_of(acquired, result.envelope.run, result.envelope.seq, 0).parent
        witness = nion_witness(acquired, survey, result.boxes, folder)
        children = _sub_scans(folder, result.boxes)
    else:
        witness = point_witness(microscope, survey, result.boxes)
        children = _points(acquired)
    counts = _receipts(places)
    simulation = Simulation(
        controller=instrument,
        boxes=len(result.boxes),
        acquired=counts.get("acquired", 0),
        max_abs_error=witness.max_abs_error,
        receipts=counts,
        time_to_coordinates_s=coordinates_s,
        acquisition_s=acquisition_s,
        adapter_killed=killed,
        points=witness.points,
        full_grid_points=witness.full_grid_points,
        saving=witness.full_grid_points / max(1, witness.points),
        witness=witness,
    )
    text = msgspec.json.format(msgspec.json.encode(simulation), indent=1)
    write_whole(places.out / "simulation.json", text + b"\n")
    caption = (
        f"{simulation.acquired} of {simulation.boxes} boxes acquired; boxes after "
        f"{coordinates_s:.2f} s, acquired in {acquisition_s:.1f} s; "
        f"{simulation.points} of {simulation.full_grid_points} points"
    )
    draw_acquired(survey, children, caption, places.out / "simulation.png")
    return simulation


def _sub_scans(folder: Path, boxes: NDArray[np.int32]) -> Iterator[tuple[int, int, NDArray[Any]]]:
    for box_id, (x, y, _size) in enumerate(boxes.tolist()):
        path = folder / f"{box_id:06d}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as found:
                yield x, y, found["image"]


def _points(folder: Path) -> Iterator[tuple[int, int, NDArray[Any]]]:
    for path in sorted(folder.rglob("*.npz")):
        with np.load(path, allow_pickle=False) as found:
            for (x, y), seen in zip(found["positions"].tolist(), found["seen"], strict=True):
                yield x, y, np.array([[seen]])
