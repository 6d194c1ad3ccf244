"""A Nion microscope as nionswift-usim simulates it, with an image as its specimen.

The scan, the sub-scan and the camera that follows the probe are those of Nion's kit, unchanged; of
the simulator only the specimen is replaced (`ScanDataGenerator.generate_scan_data`).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from nion.data import Calibration, DataAndMetadata
from nion.device_kit import CameraDevice
from nion.instrumentation import HardwareSource, camera_base, scan_base
from nion.usim_device import DeviceConfiguration, InstrumentDevice
from nion.utils import Geometry, Registry
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates  # type: ignore[attr-defined] # exported by a loop

from .doses import SEEN, Aim, keep_dose

SCAN = "usim_scan_device"
WITNESS = "witness_camera"
SENSOR = (8, 8)
"""Pixels of the camera that writes the probe's position into its frames, (height, width)."""
EXPOSURE_MS = 1.0
TAKEN = 1.0
"""In the third pixel of each frame, and in none that the camera did not deliver."""
DIGITS = 6


class ImageSpecimen(InstrumentDevice.ScanDataGenerator):  # type: ignore[misc] # untyped
    """Shows an image to the scan, and notes every dose that it gets.

    Where the beam looks comes in nm from the optic axis, x right, y down; the image's middle lies
    there. `dose.jsonl` is the instrument's own truth: what the beam saw is kept, and then a line
    written, before either is handed on. It outlives whoever drives the scan.

    Parameters
    ----------
    image
        (height, width); its pixels are `pixel_nm` wide.
    dose
        The file that gets a line for each scan; what was seen goes into `seen/` beside it. None
        keeps nothing.
    """

    def __init__(self, image: NDArray[Any], pixel_nm: float, dose: Path | None = None) -> None:
        super().__init__(sample_index=0)
        self._image = np.asarray(image, np.float32)
        self._pixel_nm = pixel_nm
        self._dose = dose
        self.aim: Aim | None = None
        """For which box the next scan is; the record says so."""
        if dose is not None:
            (dose.parent / SEEN).mkdir(exist_ok=True)

    def generate_scan_data(self, instrument: object, parameters: Any) -> NDArray[np.float32]:  # noqa: ANN401, ARG002
        """Return what the detector sees at the middle of each pixel of the scan."""
        size, view, centre = parameters.size, parameters.fov_size_nm, parameters.center_nm
        y = ((np.arange(size.height) + 0.5) / size.height - 0.5) * view.height + centre.y
        x = ((np.arange(size.width) + 0.5) / size.width - 0.5) * view.width + centre.x
        rows, columns = self._image.shape
        # Index 0 is the middle of the first pixel. A millionth of a pixel is the error of the
        # simulator's fractions; without it, a scan of whole pixels gives the image's own values.
        row = np.round(y / self._pixel_nm + rows / 2 - 0.5, DIGITS)
        column = np.round(x / self._pixel_nm + columns / 2 - 0.5, DIGITS)
        at = np.meshgrid(row, column, indexing="ij")
        seen: NDArray[np.float32] = map_coordinates(self._image, at, order=1, mode="nearest")
        if self._dose is not None:
            keep_dose(self._dose, round(column[0]), round(row[0]), seen, self.aim)
        return seen


class _PositionCamera:
    """Its frames say where the probe was: y and x in parent pixels, then `TAKEN`."""

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
        frame[0, :3] = position.y * self._parent[0], position.x * self._parent[1], TAKEN
        return DataAndMetadata.new_data_and_metadata(frame)


class UsimMicroscope:
    """The simulated microscope; its parts are registered with Nion's kit until it is closed.

    One a process. Its threads are no daemons: after an error that kept it from closing, end the
    process with `os._exit`.
    """

    def __init__(
        self, image: NDArray[Any], *, pixel_nm: float = 1.0, dose: Path | None = None
    ) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="haadflow-usim-")
        folder = Path(self._files.name)
        logging.getLogger("acquisition").setLevel(logging.ERROR)
        HardwareSource.run()
        camera_base.run(folder)
        scan_base.run(folder)
        self.specimen = ImageSpecimen(image, pixel_nm, dose)
        with _specimen(self.specimen):
            self._context = DeviceConfiguration.AcquisitionContextConfiguration(
                set_configuration_location=False
            )
        camera = _PositionCamera(self._context.instrument, image.shape)
        module = _camera_module(self._context.instrument, camera)
        self._context.run()
        Registry.register_component(module, {"camera_module"})
        scan = HardwareSource.HardwareSourceManager().get_hardware_source_for_hardware_source_id(
            SCAN
        )
        camera.scan_device = scan.scan_device

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
    instrument.camera_readout_area = lambda kind: (
        (0, 0, *SENSOR) if kind == "witness" else areas(kind)
    )
    device = CameraDevice.Camera(WITNESS, "witness", "Witness", camera, instrument)
    settings = CameraDevice.CameraSettings(WITNESS, EXPOSURE_MS / 1e3)
    return CameraDevice.CameraModule(instrument.instrument_id, device, settings)
