"""Nion's scan: the whole field, or a square of it, with or without a camera that follows the probe.

Through the instrumentation kit of Nion Swift, so that the scan may be a microscope's or the
simulator's. The kit takes a sub-scan as fractions of the field, (y, x), its middle and not its
corner (nionswift-instrumentation-kit, `docs/scanning.rst` at 096c7f6); here a square is x, y, size:
parent pixels, x right, y down, upper-left corner.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
from nion.instrumentation import HardwareSource
from numpy.typing import NDArray

RECORD = 2
"""The kit's profile of parameters for single frames."""


class NoInstrument(LookupError):
    """There is no scan, or no camera, of that name in this process; says which there are."""


class Field(NamedTuple):
    """The scan of a whole parent: a position a pixel."""

    height: int
    width: int
    """Positions."""
    height_nm: float
    """What the kit calls the field of view: of a field that is not square, its height."""
    dwell_us: float


class NionScan:
    """One scan device, and perhaps a camera."""

    def __init__(self, field: Field, *, scan: str, camera: str | None = None) -> None:
        self.field = field
        self._scan = _source(scan)
        self._camera = None if camera is None else _source(camera)

    def survey(self) -> NDArray[np.float32]:
        """Scan the whole field; (height, width)."""
        scanned: NDArray[np.float32] = self._scan.record_immediate(self._parameters())[0].data
        return scanned

    def square(self, x: int, y: int, size: int) -> NDArray[np.float32]:
        """Scan a square, (size, size)."""
        part = self._part(x, y, size)
        scanned: NDArray[np.float32] = self._scan.record_immediate(part)[0].data
        return scanned

    def square_with_camera(
        self, x: int, y: int, size: int, exposure_ms: float
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Scan a square in step with the camera: (size, size), and a frame for each position."""
        if self._camera is None:
            raise NoInstrument("this scan was made without a camera")
        parameters = self._camera.get_frame_parameters(0)
        parameters.exposure_ms, parameters.binning, parameters.processing = exposure_ms, 1, None
        scans, frames = self._scan.grab_synchronized(
            scan_frame_parameters=self._part(x, y, size),
            camera=self._camera,
            camera_frame_parameters=parameters,
        )
        return scans[0].data, frames[0].data

    def abort(self) -> None:
        """Stop what is being scanned."""
        self._scan.abort_recording()

    def _parameters(self) -> Any:  # noqa: ANN401 - the kit is not typed for us
        parameters = self._scan.get_frame_parameters(RECORD)
        parameters.pixel_size = (self.field.height, self.field.width)
        parameters.fov_nm = self.field.height_nm
        parameters.pixel_time_us = self.field.dwell_us
        parameters.center_nm = (0, 0)
        parameters.rotation_rad = 0.0
        return parameters

    def _part(self, x: int, y: int, size: int) -> Any:  # noqa: ANN401
        height, width = self.field.height, self.field.width
        part = copy.deepcopy(self._parameters())
        part.subscan_pixel_size = (size, size)
        part.subscan_fractional_size = (size / height, size / width)
        part.subscan_fractional_center = ((y + size / 2) / height, (x + size / 2) / width)
        return part


def _source(name: str) -> Any:  # noqa: ANN401
    sources = HardwareSource.HardwareSourceManager()
    found = sources.get_hardware_source_for_hardware_source_id(name)
    if found is None:
        there = sorted(source.hardware_source_id for source in sources.hardware_sources)
        raise NoInstrument(f"{name!r}: no such scan or camera in this process; there are {there}")
    return found
