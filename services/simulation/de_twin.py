"""Direct Electron's FreeScan as de-twin simulates it: a server that the vendor's client talks to.

de-twin 0.3.0 acknowledges a list of scan positions once, deapi 5.3.1 waits for a second time (and
gives up after 35 s): the answer that is missing is sent here. All else is the twin's own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from de_twin import DigitalTwin
from de_twin.faces import deapi_server
from de_twin.render import RenderConfig
from numpy.typing import NDArray

from services.detectors.client import Detector

from .scans import SCANS

PARENT = "specimen"
SPECIMEN = "Dense Au on holey C"
CAMERA = "Celeritas"
SENSOR = 256
"""Pixels read of the camera, from its middle: a whole frame takes the twin 16 times as long."""
SENSOR_OFFSET = 384
FRAMES_PER_SECOND = 1000
MAGNIFICATION = 200_000
ANNULUS_MRAD = 20.0, 60.0
"""Inner and outer angle of the annular detector whose image is the survey."""
STEM = 1


class DigitalMicroscope:
    """The twin and its server, on a port of this machine; starts on entering."""

    def __init__(self, positions: int = 128) -> None:
        self.positions = positions
        # The model that "auto" takes needs minutes an image.
        render = RenderConfig(stem_model="kinematic")
        self._twin = DigitalTwin(SPECIMEN, camera=CAMERA, render_config=render)
        self._twin.column.set("TemStemMode", STEM)
        self._twin.column.set("Magnification", MAGNIFICATION)
        self._server = deapi_server.TwinDeapiServer(self._twin, port=0, pace=False).start()
        self.port: int = self._server.port
        for name, value in {
            "Scan - Enable": "On",
            "Hardware ROI Size X": SENSOR,
            "Hardware ROI Size Y": SENSOR,
            "Hardware ROI Offset X": SENSOR_OFFSET,
            "Hardware ROI Offset Y": SENSOR_OFFSET,
            "Frames Per Second": FRAMES_PER_SECOND,
            "Scan - Size X": positions,
            "Scan - Size Y": positions,
        }.items():
            self._server.fake[name] = value

    def survey(self) -> NDArray[np.float32]:
        """Return the annular dark-field image, (positions, positions)."""
        image = self._twin.virtual_image(self._server.fake.request(), *ANNULUS_MRAD)
        return np.asarray(image, np.float32)

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _note_scans(path: Path) -> None:
    """Write down each list of positions at the moment when the camera starts to scan it."""
    start = deapi_server.TwinFakeServer._start

    def noted(self: Any, command: Any) -> tuple[Any, ...]:  # noqa: ANN401
        with path.open("ab", buffering=0) as lines:
            lines.write(json.dumps(self._scan_points).encode() + b"\n")
        answer: tuple[Any, ...] = start(self, command)
        return answer

    deapi_server.TwinFakeServer._start = noted


def _acknowledge_twice() -> None:
    once = deapi_server.TwinFakeServer._set_scan_xy_array

    def twice(self: Any, command: Any) -> tuple[Any, ...]:  # noqa: ANN401
        once(self, command)
        return (self._ack(command),)

    deapi_server.TwinFakeServer._set_scan_xy_array = twice


_acknowledge_twice()


def serve(offers: str, out: Path) -> None:
    """Offer the twin's survey image to a chain, and serve its camera until standard input ends.

    Writes `survey.npy` into `out`, a line into `scans.jsonl` for each scan that begins, and the
    port into `port`.
    """
    _note_scans(out / SCANS)
    with DigitalMicroscope() as microscope:
        seen = microscope.survey()
        np.save(out / "survey.npy", seen)
        with Detector(offers, name="de-twin") as detector:
            detector.send(seen, parent_id=PARENT)
        if detector.refusals:
            raise SystemExit(f"the chain refused the survey: {detector.refusals[0].reason}")
        partial = out / ".port"
        partial.write_text(str(microscope.port))
        partial.replace(out / "port")
        sys.stdin.read()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=serve.__doc__)
    parser.add_argument("offers")
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    serve(asked.offers, asked.out)
    sys.stderr.flush()
    os._exit(0)  # the server's threads wait for connections
