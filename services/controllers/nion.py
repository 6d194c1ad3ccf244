"""Nion Swift: each box is a sub-scan.

Runs where Nion's instrumentation kit has the microscope, or beside a simulated one whose specimen
is an image (`--set specimen=IMAGE.npy`). Nion's packages are under the GPL: they have an
environment of their own (deploy/controllers/nion).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from protocols.messages import Receipt

from .acquired_files import keep, sweep
from .controller import (
    Box,
    ControllerGone,
    Limits,
    Parent,
    ScanStopped,
    SettingError,
    settings_from,
)
from .doses import Aim, Dose, doses, seen_of
from .nion_files import file_of, is_whole, note_stopped, was_stopped
from .nion_scan import Field, NionScan
from .usim import EXPOSURE_MS, SCAN, UsimMicroscope

DOSE = "dose.jsonl"
Positive = Annotated[float, Meta(gt=0, le=1e9)]
PixelCount = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class NionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `--set` may say."""

    out: Annotated[str, Meta(min_length=1)]
    """Folder for what is acquired, a file a box; made if it is not there."""
    specimen: str | None = None
    """An image (.npy) that a simulated microscope has as its specimen."""
    height: PixelCount | None = None
    width: PixelCount | None = None
    """Of the parents, in pixels; of the specimen, if there is one."""
    field_height_nm: Positive | None = None
    """What a parent shows, from top to bottom; of a specimen, 1 nm a pixel if it is not said."""
    dwell_us: Positive = 1.0
    scan: str = SCAN
    """The scan device's name in the kit."""
    camera: str | None = None
    """A camera that follows the probe, on every `camera_every`-th box."""
    camera_every: PixelCount = 1
    exposure_ms: Positive = EXPOSURE_MS


class NionController:
    """Sub-scans, one after the other."""

    def __init__(self, settings: NionSettings) -> None:
        self._settings = settings
        self._out = Path(settings.out)
        self._out.mkdir(parents=True, exist_ok=True)
        sweep(self._out)
        self._microscope, field = _instrument(settings, self._out)
        self._scan = NionScan(field, scan=settings.scan, camera=settings.camera)

    def describe(self) -> Limits:
        """Sub-scans of parents that show the field, in as many pixels."""
        field = self._scan.field
        return Limits(
            family="sub-scan",
            grid_height=field.height,
            grid_width=field.width,
            field_height_nm=field.height_nm,
            smallest_px=1,
            software=f"nionswift-instrumentation {version('nionswift-instrumentation')}",
            settings={"dwell_us": field.dwell_us, "simulated": self._microscope is not None},
        )

    def acquire(self, parent: Parent, boxes: Sequence[Box]) -> list[Receipt]:
        """Scan each box, and write it into `RUN/SEQ/BOX_ID.npz`."""
        return [self._acquire(parent, box) for box in boxes]

    def recall(self, parent: Parent, boxes: Sequence[Box]) -> Mapping[int, Receipt | None]:
        """Look boxes up: in the files, and in the simulated instrument's own record of its dose.

        A microscope has no such record: there a box without a file stays in doubt. So does one
        whose scan was stopped: the record has what the beam was to see, all of it, from the start.
        """
        given = (
            {} if self._microscope is None else {dose.aim: dose for dose in doses(self._out / DOSE)}
        )
        known: dict[int, Receipt | None] = {}
        for box in boxes:
            path = file_of(self._out, parent.run, parent.seq, box.box_id)
            if is_whole(path):
                known[box.box_id] = Receipt(box_id=box.box_id, status="acquired")
            elif self._microscope is not None and not was_stopped(path):
                aim = Aim(parent.run, parent.seq, box.box_id)
                known[box.box_id] = self._by_dose(parent, box, given.get(aim))
        return known

    def _by_dose(self, parent: Parent, box: Box, dose: Dose | None) -> Receipt | None:
        """Tell of a box from what the simulated specimen got; its file is made from that."""
        if dose is None:
            return None
        if self._takes_camera(box):
            lost = "scanned, but what the camera saw was lost when the adapter ended"
            return Receipt(box_id=box.box_id, status="failed", reason=lost)
        self._write(parent, box, {"image": seen_of(self._out / DOSE, dose)})
        return Receipt(box_id=box.box_id, status="acquired")

    def abort(self) -> None:
        """Stop the sub-scan, with or without a camera; its box is in doubt then."""
        self._scan.abort()

    def close(self) -> None:
        """Stop a simulated microscope."""
        if self._microscope is not None:
            self._microscope.close()

    def _acquire(self, parent: Parent, box: Box) -> Receipt:
        started = perf_counter()
        if self._microscope is not None:
            self._microscope.specimen.aim = Aim(parent.run, parent.seq, box.box_id)
        try:
            arrays = self._scanned(box)
        except ScanStopped as error:
            note_stopped(file_of(self._out, parent.run, parent.seq, box.box_id))
            raise ControllerGone(f"{error}, because the adapter was told to end") from error
        self._write(parent, box, arrays)
        return Receipt(box_id=box.box_id, status="acquired", seconds=perf_counter() - started)

    def _scanned(self, box: Box) -> dict[str, NDArray[Any]]:
        x, y, size = box.x_px, box.y_px, box.size_px
        if not self._takes_camera(box):
            return {"image": self._scan.square(x, y, size)}
        image, frames = self._scan.square_with_camera(x, y, size, self._settings.exposure_ms)
        return {"image": image, "frames": frames}

    def _write(self, parent: Parent, box: Box, arrays: dict[str, NDArray[Any]]) -> None:
        place = np.array([box.x_px, box.y_px, box.size_px], np.int32)
        keep(file_of(self._out, parent.run, parent.seq, box.box_id), {"box": place, **arrays})

    def _takes_camera(self, box: Box) -> bool:
        return self._settings.camera is not None and box.box_id % self._settings.camera_every == 0


def read_specimen(path: str) -> NDArray[Any]:
    """Read the image that a simulated microscope has as its specimen.

    Raises
    ------
    SettingError
        It cannot be read, or is no image.
    """
    try:
        image: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SettingError(f"nion: specimen {path}: {error}; expected an image (.npy)") from error
    if image.ndim != 2 or not image.size or image.dtype.kind not in "uif":
        raise SettingError(
            f"nion: specimen {path}: {image.dtype} {image.shape}; expected numbers, (height, width)"
        )
    return image


def _instrument(settings: NionSettings, out: Path) -> tuple[UsimMicroscope | None, Field]:
    if settings.specimen is not None:
        return _simulated(settings, settings.specimen, out / DOSE)
    if settings.height is None or settings.width is None or settings.field_height_nm is None:
        raise SettingError(
            "nion: expected specimen=IMAGE.npy, or height, width and field_height_nm of the parents"
        )
    size = settings.height, settings.width
    return None, Field(*size, settings.field_height_nm, settings.dwell_us)


def _simulated(settings: NionSettings, path: str, dose: Path) -> tuple[UsimMicroscope, Field]:
    image = read_specimen(path)
    height, width = image.shape
    said = settings.height or height, settings.width or width
    if said != (height, width):
        raise SettingError(
            f"nion: height, width: {said} came, the specimen {path} has {(height, width)}"
        )
    field = Field(height, width, settings.field_height_nm or float(height), settings.dwell_us)
    return UsimMicroscope(image, pixel_nm=field.height_nm / height, dose=dose), field


def build(settings: Mapping[str, Any]) -> NionController:
    """Make the controller that `haadflow controller nion` runs."""
    return NionController(settings_from("nion", settings, NionSettings))
