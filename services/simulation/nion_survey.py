"""The detector's side of the simulated Nion microscope: one survey image, offered to a chain."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path

import numpy as np

from services.controllers.nion import read_specimen
from services.controllers.nion_scan import Field, NionScan
from services.controllers.usim import SCAN, UsimMicroscope
from services.detectors.client import Detector

PARENT = "specimen"
DWELL_US = 1.0


def survey(specimen: str, offers: str, out: Path) -> None:
    """Scan the whole specimen with the simulator's own HAADF scan, and offer what was seen.

    Writes `survey.npy`, (height, width) float32, and `survey_dose.jsonl` into `out`.
    """
    image = read_specimen(specimen)
    height, width = image.shape
    with UsimMicroscope(image, dose=out / "survey_dose.jsonl"):
        field = Field(height, width, float(height), DWELL_US)
        seen = NionScan(field, scan=SCAN).survey()
    np.save(out / "survey.npy", seen)
    with Detector(offers, name="usim") as detector:
        detector.send(seen, parent_id=PARENT, pixel_size_nm=1.0)
    if detector.refusals:
        raise SystemExit(f"the chain refused the survey image: {detector.refusals[0].reason}")


def main() -> int:
    """Run `survey` with the command line's arguments; 0 if the image was accepted."""
    parser = argparse.ArgumentParser(description=survey.__doc__)
    parser.add_argument("specimen")
    parser.add_argument("offers")
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    survey(asked.specimen, asked.offers, asked.out)
    return 0


if __name__ == "__main__":
    status = 1
    try:
        status = main()
    except (Exception, SystemExit):  # noqa: BLE001 - said below
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)  # the simulator's camera threads would keep a failed run from ending
