"""Nion's scan: the whole field, or a square of it, with or without a camera that follows the probe.

Through the instrumentation kit of Nion Swift, so that the scan may be a microscope's or the
simulator's. The kit takes a sub-scan as fractions of the field, (y, x), its middle and not its
corner (nionswift-instrumentation-kit, `docs/scanning.rst` at 096c7f6); here a square is x, y, size:
parent pixels, x right, y down, upper-left corner.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
from nion.instrumentation import HardwareSource
from numpy.typing import NDArray

from .controller import ScanStopped

RECORD = 2
"""The kit's profile of parameters for single frames."""
STOP_EVERY_S = 0.05
STOP_S = 5.0
"""So long the kit is told again and again to stop."""


class NoInstrument(LookupError):
    """There is no scan, or no camera, of that name in this process; says which there are."""


class ScanFailed(RuntimeError):
    """The kit has ended a scan before its end; says what came."""


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
        self._stopped = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

    def survey(self) -> NDArray[np.float32]:
        """Scan the whole field; (height, width)."""
        scanned: NDArray[np.float32] = self._scan.record_immediate(self._parameters())[0].data
        return scanned

    def square(self, x: int, y: int, size: int) -> NDArray[np.float32]:
        """Scan a square, (size, size).

        Raises
        ------
        ScanStopped
            If `abort` was called.
        ScanFailed
            If the kit has ended it without all of its positions.
        """
        with self._in_hand(size):
            found = self._scan.record_immediate(self._part(x, y, size))
        return _whole(found, size)

    def square_with_camera(
        self, x: int, y: int, size: int, exposure_ms: float
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Scan a square in step with the camera: (size, size), and a frame for each position.

        Raises
        ------
        ScanStopped
            If `abort` was called.
        ScanFailed
            If the kit has ended it without all of its positions.
        """
        if self._camera is None:
            raise NoInstrument("this scan was made without a camera")
        parameters = self._camera.get_frame_parameters(0)
        parameters.exposure_ms, parameters.binning, parameters.processing = exposure_ms, 1, None
        with self._in_hand(size):
            found = self._scan.grab_synchronized(
                scan_frame_parameters=self._part(x, y, size),
                camera=self._camera,
                camera_frame_parameters=parameters,
            )
        if found is None:  # so the kit says that somebody has aborted it
            raise ScanFailed(f"a scan of {size} x {size} positions was aborted, not by haadflow")
        scans, frames = found
        return _whole(scans, size), frames[0].data

    def abort(self) -> None:
        """Stop what is being scanned, with or without the camera; nothing is scanned after it.

        The kit does not hear it while it is still preparing a scan, so it is told again until the
        scan has returned.
        """
        self._stopped.set()
        deadline = time.monotonic() + STOP_S
        while not self._idle.wait(STOP_EVERY_S) and time.monotonic() < deadline:
            self._scan.abort_recording()
            with suppress(AttributeError):  # the kit's, before the first scan with a camera begins
                self._scan.grab_synchronized_abort()

    @contextmanager
    def _in_hand(self, size: int) -> Iterator[None]:
        """Let `abort` know of a scan; nothing that came of one that was stopped is handed on.

        Neither is what the kit raises then: of an array that is not full it cannot make an image.
        """
        self._idle.clear()
        try:
            self._go_on(size)
            yield
        finally:
            self._idle.set()
            self._go_on(size)

    def _go_on(self, size: int) -> None:
        if self._stopped.is_set():
            raise ScanStopped(f"a scan of {size} x {size} positions was stopped")

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


def _whole(scanned: Any, size: int) -> NDArray[np.float32]:  # noqa: ANN401
    """Return what the first detector saw."""
    first = scanned[0] if scanned else None
    if first is None or first.data.shape != (size, size):
        came = "nothing" if first is None else f"{first.data.shape}"
        raise ScanFailed(f"a scan of {size} x {size} positions brought {came}")
    seen: NDArray[np.float32] = first.data
    return seen


def _source(name: str) -> Any:  # noqa: ANN401
    sources = HardwareSource.HardwareSourceManager()
    found = sources.get_hardware_source_for_hardware_source_id(name)
    if found is None:
        there = sorted(source.hardware_source_id for source in sources.hardware_sources)
        raise NoInstrument(f"{name!r}: no such scan or camera in this process; there are {there}")
    return found
