"""The twin's own record of the positions that it scanned, a line a scan: `[[x, y], ...]`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

SCANS = "scans.jsonl"


def touched(path: Path) -> Counter[tuple[int, int]]:
    """Count how often each position x, y of the grid was scanned."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return Counter((x, y) for line in lines for x, y in json.loads(line) or [])
