"""Abort a FreeScan just before, or just while, its scan starts; runs where its client is installed.

    python -m tests.helpers.free_scan_stopped before|while|never

prints how the scan ended, how many scans the camera has begun, and how many stops it has heard
after that, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from services.controllers.controller import ScanStopped
from services.controllers.free_scan import FreeScan
from services.simulation.de_twin import DigitalMicroscope

POSITIONS = np.array([[x, 2] for x in range(8)], np.int32)


def tried(moment: str) -> dict[str, Any]:
    """Abort at that moment of a scan."""
    told: list[str] = []
    with DigitalMicroscope(16) as microscope, FreeScan("127.0.0.1", microscope.port) as scan:
        client = scan._client

        def noted(name: str, *, behind: Callable[[], None] | None = None) -> None:
            real = getattr(client, name)

            def call(*given: object, **named: object) -> object:
                if name == "start_acquisition" and moment == "while":
                    scan.abort()
                answer = real(*given, **named)
                told.append(name)
                if behind is not None:
                    behind()
                return answer

            setattr(client, name, call)

        noted("start_acquisition")
        noted("stop_acquisition")
        noted("set_xy_array", behind=scan.abort if moment == "before" else None)
        try:
            scan.scan(POSITIONS)
            ended = "whole"
        except ScanStopped:
            ended = "stopped"
    *_, after = " ".join(told).partition("start_acquisition")
    starts, stops = told.count("start_acquisition"), after.count("stop_acquisition")
    return {"ended": ended, "starts": starts, "stops_after": stops}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(tried(sys.argv[1])) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the server's threads wait for connections
