"""A Nion microscope as nionswift-usim simulates it, with an image as its specimen.

The scan, the sub-scan and the camera that follows the probe are those of Nion's instrumentation kit,
unchanged; of the simulator only the specimen is replaced (`ScanDataGenerator.generate_scan_data`).
Nion's packages are under the GPL and stay in an environment of their own (deploy/controllers/nion).
"""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import scipy.ndimage
from nion.data import Calibration, DataAndMetadata
from nion.device_kit import CameraDevice
from nion.instrumentation import HardwareSource, camera_base, scan_base
from nion.usim_device import DeviceConfiguration, InstrumentDevice
from nion.utils import Geometry, Registry
from numpy.typing import NDArray

SCAN = "usim_scan_device"
WITNESS = "witness_camera"
SENSOR = (8, 8)
"""Pixels of the camera that writes the probe's position into its frames, (height, width)."""
DWELL_US = 1.0
EXPOSURE_MS = 1.0
DIGITS = 6


class ImageSpecimen(InstrumentDevice.ScanDataGenerator):
    """Shows an image to the scan: where it looks, in nm from the optic axis, x right, y down.

    Parameters
    ----------
    image
        (height, width); its pixels are `pixel_nm` wide, and its middle is on the optic axis.
    """

    def __init__(self, image: NDArray[Any], pixel_nm: float) -> None:
        super().__init__(sample_index=0)
        self.points = 0
        """Positions of the probe that were scanned so far."""
        self._image = np.asarray(image, np.float32)
        self._pixel_nm = pixel_nm

    def generate_scan_data(self, instrument: object, parameters: Any) -> NDArray[np.float32]:  # noqa: ANN401, ARG002
        """Return what the detector sees at the middle of each pixel of the scan."""
        size, view, centre = parameters.size, parameters.fov_size_nm, parameters.center_nm
        self.points += size.height * size.width
        y = ((np.arange(size.height) + 0.5) / size.height - 0.5) * view.height + centre.y
        x = ((np.arange(size.width) + 0.5) / size.width - 0.5) * view.width + centre.x
        rows, columns = self._image.shape
        # Index 0 is the middle of the first pixel. A millionth of a pixel is the error of the
        # simulator's fractions; without it, a scan of whole pixels gives the image's own values.
        row = np.round(y / self._pixel_nm + rows / 2 - 0.5, DIGITS)
        column = np.round(x / self._pixel_nm + columns / 2 - 0.5, DIGITS)
        at = np.meshgrid(row, column, indexing="ij")
        seen: NDArray[np.float32] = scipy.ndimage.map_coordinates(
            self._image, at, order=1, mode="nearest"
        )
        return seen


class _PositionCamera:
    """A camera whose frames say where the probe was: y and x, in parent pixels, in the first two."""

    def __init__(self, instrument: Any, parent: tuple[int, int]) -> None:  # noqa: ANN401
        self._instrument = instrument
        self._parent = parent
        self.scan_device: Any = None

    def close(self) -> None:
        """Nothing to let go of."""

    def get_dimensional_calibrations(self, _area: object, _binning: object) -> list[Any]:
        """Frames have no scale."""
        return [Calibration.Calibration(), Calibration.Calibration()]

    def get_frame_data(
        self,
        _area: object,
        _binning: object,
        _exposure_s: float,
        _context: object,
        probe_position: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Return one frame."""
        if self._instrument.probe_state == "scanning":
            probe_position = self.scan_device.current_probe_position
        position = probe_position or Geometry.FloatPoint(0.5, 0.5)
        frame = np.zeros(SENSOR, np.float32)
        frame[0, :2] = position.y * self._parent[0], position.x * self._parent[1]
        return DataAndMetadata.new_data_and_metadata(frame)


class UsimMicroscope:
    """The simulated microscope; starts on entering, one a process.

    Its threads are no daemons: after an error that kept it from closing, end the process with
    `os._exit`.
    """

    def __init__(self, image: NDArray[Any], *, pixel_nm: float = 1.0) -> None:
        self.height, self.width = image.shape
        self.specimen = ImageSpecimen(image, pixel_nm)
        # The simulator takes the field of view as that of the longer side for its calibration and as
        # the height for its size; fractions are right in either case.
        self._field_nm = pixel_nm * self.height
        self._files = tempfile.TemporaryDirectory(prefix="haadflow-usim-")
        folder = Path(self._files.name)
        logging.getLogger("acquisition").setLevel(logging.ERROR)
        HardwareSource.run()
        camera_base.run(folder)
        scan_base.run(folder)
        with _specimen(self.specimen):
            self._context = DeviceConfiguration.AcquisitionContextConfiguration(
                set_configuration_location=False
            )
        instrument = self._context.instrument
        camera = _PositionCamera(instrument, (self.height, self.width))
        module = _camera_module(instrument, camera)
        self._context.run()
        Registry.register_component(module, {"camera_module"})
        sources = HardwareSource.HardwareSourceManager()
        self._scan = sources.get_hardware_source_for_hardware_source_id(SCAN)
        self._camera = sources.get_hardware_source_for_hardware_source_id(WITNESS)
        camera.scan_device = self._scan.scan_device

    def survey(self) -> NDArray[np.float32]:
        """Scan the whole field, a position a pixel of the specimen, (height, width)."""
        scanned: NDArray[np.float32] = self._scan.record_immediate(self._parameters())[0].data
        return scanned

    def subscan(self, x: int, y: int, size: int) -> NDArray[np.float32]:
        """Scan a square of parent pixels, upper-left corner at (x, y); (size, size)."""
        scanned: NDArray[np.float32] = self._scan.record_immediate(self._part(x, y, size))[0].data
        return scanned

    def probe_positions(self, x: int, y: int, size: int) -> NDArray[np.float32]:
        """Scan a square with a camera that follows; return (size, size, 2): y, x of the probe."""
        parameters = self._camera.get_frame_parameters(0)
        parameters.exposure_ms, parameters.binning, parameters.processing = EXPOSURE_MS, 1, None
        frames = self._scan.grab_synchronized(
            scan_frame_parameters=self._part(x, y, size),
            camera=self._camera,
            camera_frame_parameters=parameters,
        )
        positions: NDArray[np.float32] = frames[1][0].data[..., 0, :2]
        return positions

    def close(self) -> None:
        """Stop the simulator's threads."""
        self._context.stop()
        scan_base.stop()
        camera_base.stop()
        HardwareSource.stop()
        HardwareSource.HardwareSourceManager().close()
        self._files.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _parameters(self) -> Any:  # noqa: ANN401
        parameters = self._scan.get_frame_parameters(2)
        parameters.pixel_size = (self.height, self.width)
        parameters.fov_nm = self._field_nm
        parameters.pixel_time_us = DWELL_US
        parameters.center_nm = (0, 0)
        parameters.rotation_rad = 0.0
        return parameters

    def _part(self, x: int, y: int, size: int) -> Any:  # noqa: ANN401
        # Nion's sub-scan: (y, x), fractions of the field, its middle and not its corner.
        part = copy.deepcopy(self._parameters())
        part.subscan_pixel_size = (size, size)
        part.subscan_fractional_size = (size / self.height, size / self.width)
        part.subscan_fractional_center = (
            (y + size / 2) / self.height,
            (x + size / 2) / self.width,
        )
        return part


@contextmanager
def _specimen(specimen: ImageSpecimen) -> Iterator[None]:
    """Let the simulator, which makes its specimen by itself, take this one."""
    own = InstrumentDevice.ScanDataGenerator
    InstrumentDevice.ScanDataGenerator = lambda **_: specimen
    try:
        yield
    finally:
        InstrumentDevice.ScanDataGenerator = own


def _camera_module(instrument: Any, camera: _PositionCamera) -> Any:  # noqa: ANN401
    sizes, areas = instrument.camera_sensor_dimensions, instrument.camera_readout_area
    instrument.camera_sensor_dimensions = lambda kind: SENSOR if kind == "witness" else sizes(kind)
    instrument.camera_readout_area = (
        lambda kind: (0, 0, *SENSOR) if kind == "witness" else areas(kind)
    )
    device = CameraDevice.Camera(WITNESS, "witness", "Witness", camera, instrument)
    settings = CameraDevice.CameraSettings(WITNESS, EXPOSURE_MS / 1e3)
    return CameraDevice.CameraModule(instrument.instrument_id, device, settings)
