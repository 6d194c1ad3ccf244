"""Nion Swift: each box is a sub-scan.

Runs where Nion's instrumentation kit has the microscope, or beside a simulated one whose specimen
is an image (`--set specimen=IMAGE.npy`). Nion's packages are under the GPL: the extra `nion`
installs them.
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

from .controller import Box, Limits, Parent, SettingError, settings_from
from .doses import doses, seen_of
from .nion_files import file_of, is_whole
from .nion_scan import Field, NionScan
from .usim import EXPOSURE_MS, SCAN, WITNESS, UsimMicroscope

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
    """What a parent shows, from top to bottom; not needed with a specimen."""
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
        self._microscope, field = _instrument(settings, self._out)
        self._scan = NionScan(field, scan=settings.scan, camera=settings.camera)

    def describe(self) -> Limits:
        """Sub-scans of parents as large as the field."""
        field = self._scan.field
        return Limits(
            family="sub-scan",
            grid_height=field.height,
            grid_width=field.width,
            smallest_px=1,
            software=f"nionswift-instrumentation {version('nionswift-instrumentation')}",
            settings={"dwell_us": field.dwell_us, "simulated": self._microscope is not None},
        )

    def acquire(self, parent: Parent, boxes: Sequence[Box]) -> list[Receipt]:
        """Scan each box, and write it into `RUN/SEQ/BOX_ID.npz`."""
        return [self._acquire(parent, box) for box in boxes]

    def recall(self, parent: Parent, boxes: Sequence[Box]) -> Mapping[int, Receipt | None]:
        """Look boxes up: in the files, and in the simulated instrument's own record of its dose.

        A microscope has no such record: there a box without a file stays in doubt.
        """
        known: dict[int, Receipt | None] = {}
        dose = None if self._microscope is None else set(doses(self._out / DOSE))
        for box in boxes:
            place = box.x_px, box.y_px, box.size_px
            if not is_whole(file_of(self._out, parent.run, parent.seq, box.box_id)):
                if dose is None:
                    continue
                if place not in dose:
                    known[box.box_id] = None
                    continue
                self._write(
                    parent,
                    box,
                    {"image": np.load(seen_of(self._out / DOSE, *place), allow_pickle=False)},
                )
            known[box.box_id] = Receipt(box_id=box.box_id, status="acquired")
        return known

    def abort(self) -> None:
        """Stop the sub-scan."""
        self._scan.abort()

    def close(self) -> None:
        """Stop a simulated microscope."""
        if self._microscope is not None:
            self._microscope.close()

    def _acquire(self, parent: Parent, box: Box) -> Receipt:
        started = perf_counter()
        settings = self._settings
        x, y, size = box.x_px, box.y_px, box.size_px
        arrays: dict[str, NDArray[Any]] = {}
        if settings.camera is not None and box.box_id % settings.camera_every == 0:
            arrays["image"], arrays["frames"] = self._scan.square_with_camera(
                x, y, size, settings.exposure_ms
            )
        else:
            arrays["image"] = self._scan.square(x, y, size)
        self._write(parent, box, arrays)
        return Receipt(box_id=box.box_id, status="acquired", seconds=perf_counter() - started)

    def _write(self, parent: Parent, box: Box, arrays: dict[str, NDArray[Any]]) -> None:
        path = file_of(self._out, parent.run, parent.seq, box.box_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            place = np.array([box.x_px, box.y_px, box.size_px], np.int32)
            np.savez(file, allow_pickle=False, box=place, **arrays)
        partial.replace(path)


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
    if image.ndim != 2 or image.dtype.kind not in "uif":
        raise SettingError(
            f"nion: specimen {path}: {image.dtype} {image.shape}; expected numbers, (height, width)"
        )
    return image


def _instrument(settings: NionSettings, out: Path) -> tuple[UsimMicroscope | None, Field]:
    if settings.specimen is not None:
        image = read_specimen(settings.specimen)
        height, width = image.shape
        field = Field(height, width, float(height), settings.dwell_us)
        return UsimMicroscope(image, dose=out / DOSE), field
    if settings.height is None or settings.width is None or settings.field_height_nm is None:
        raise SettingError(
            "nion: expected specimen=IMAGE.npy, or height, width and field_height_nm of the parents"
        )
    size = settings.height, settings.width
    return None, Field(*size, settings.field_height_nm, settings.dwell_us)


def build(settings: Mapping[str, Any]) -> NionController:
    """Make the controller that `haadflow controller nion` runs."""
    return NionController(settings_from("nion", settings, NionSettings))


__all__ = ["WITNESS", "NionController", "NionSettings", "build"]
