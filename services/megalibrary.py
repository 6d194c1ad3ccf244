"""Writes an emulated megalibrary to disk, as a microscope's computer would have left it.

    OUT/00000_Au40Ag60.png ...  the images: 8 bit, or 16-bit raw counts
    OUT/metadata.csv            one row an image: file, composition, pixel_size_nm, ...
    OUT/truth/                  for each image a mask of the same name: 0 background, 1.. phases
    OUT/megalibrary.json        which library this is

The masks are pictures too: the marker `SKIP_MARKER` in their folder says that a search through
folders for survey images passes it over. Every file appears whole or not at all, and the table
when all images are there.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from pipeline.emulation import DIFFICULTIES, SIZES, Emulated, emulate, examine

from .runtime.places import SKIP_MARKER

TABLE = "metadata.csv"
IDENTITY = "megalibrary.json"
TRUTH = "truth"

COLUMNS = (
    "file",
    "composition",
    "pixel_size_nm",
    "n_phases",
    "arrangement",
    "shape",
    "size_px",
    "bit_depth",
    "seed",
    "index",
)

EXAMINED = ("difficulty", "refuse")
"""Columns that a library of hard images has besides; refuse is 1 where nothing is to be boxed."""

PLAIN = "plain"

BLOCK = 64
"""Images in hand at a time: memory does not grow with the library."""

MAX_IMAGES = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Megalibrary:
    """A library on disk.

    Parameters
    ----------
    folder : Path
        Where the images are.
    table : Path
        Its metadata.csv.
    n_images : int
    """

    folder: Path
    table: Path
    n_images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity:
    """What makes one library differ from another."""

    seed: int
    sizes: tuple[int, ...]
    n: int
    difficulty: str = PLAIN

    def __str__(self) -> str:
        hard = "" if self.difficulty == PLAIN else f", difficulty={self.difficulty}"
        return f"seed={self.seed}, sizes={self.sizes}, n={self.n}{hard}"


def write_megalibrary(
    out: Path,
    n: int,
    seed: int,
    *,
    sizes: Sequence[int] = SIZES,
    difficulty: str = PLAIN,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Megalibrary:
    """Emulate `n` images and write them, their table and their truth into `out`.

    The same arguments write the same pixels, whatever the number of workers. Called again, it
    writes the same files again; with a larger `n` it extends the library.

    Parameters
    ----------
    out : Path
        New, empty, or with an earlier part of this library in it.
    n : int
        Images, 1..10,000,000.
    seed : int
        0 <= seed < 2**63.
    sizes : sequence of int
        Pixels a side, 64..8192; each image draws one of them.
    difficulty : str
        "plain", or one of `pipeline.emulation.DIFFICULTIES`.
    workers : int, optional
        Threads (numpy and OpenCV let go of the interpreter); one a core if not given.
    progress : callable, optional
        Told (images done, n) from time to time, in the caller's thread.

    Returns
    -------
    Megalibrary

    Raises
    ------
    ValueError
        If an argument is out of range or `out` holds something else; the message says which,
        what came and what was expected.
    OSError
        If the disk does not take a file. What was written before is whole.
    """
    _check(n, workers)
    emulated(
        0, seed, sizes, difficulty
    )  # its complaint about seed and sizes comes before anything is written
    _claim(out, _Identity(seed=seed, sizes=tuple(sizes), n=n, difficulty=difficulty))
    truth = out / TRUTH
    truth.mkdir(exist_ok=True)
    (truth / SKIP_MARKER).touch()

    def write(index: int) -> dict[str, Any]:
        made = emulated(index, seed, sizes, difficulty)
        name = f"{index:05d}_{made.composition}.png"
        _write_whole(truth / name, _png(made.truth))
        _write_whole(out / name, _png(made.image))
        return _row(name, made)

    columns = COLUMNS if difficulty == PLAIN else COLUMNS + EXAMINED
    table = out / TABLE
    partial = _partial(table)
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            rows = csv.DictWriter(file, columns, lineterminator="\n")
            rows.writeheader()
            for done, row in enumerate(_in_order(write, n, workers), start=1):
                rows.writerow(row)
                if progress is not None and (done % 8 == 0 or done == n):
                    progress(done, n)
        partial.replace(table)
    finally:
        partial.unlink(missing_ok=True)
    return Megalibrary(folder=out, table=table, n_images=n)


def _in_order(
    write: Callable[[int], dict[str, Any]], n: int, workers: int | None
) -> Iterator[dict[str, Any]]:
    """Write all images, several at a time; yield their rows in the order of the index."""
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for start in range(0, n, BLOCK):
            yield from pool.map(write, range(start, min(start + BLOCK, n)))


def emulated(
    index: int, seed: int, sizes: Sequence[int] = SIZES, difficulty: str = PLAIN
) -> Emulated:
    """Return one image of a library; ValueError if there is no such difficulty."""
    if difficulty == PLAIN:
        return emulate(index, seed, sizes=sizes)
    for known in DIFFICULTIES:
        if difficulty == known:
            return examine(index, seed, known, sizes=sizes)
    raise ValueError(f"difficulty: came {difficulty!r}; expected one of {(PLAIN, *DIFFICULTIES)}")


def _row(name: str, made: Emulated) -> dict[str, Any]:
    row = {
        "file": name,
        "composition": made.composition,
        "pixel_size_nm": made.pixel_size_nm,
        "n_phases": made.n_phases,
        "arrangement": made.arrangement,
        "shape": made.shape,
        "size_px": made.image.shape[0],
        "bit_depth": made.bit_depth,
        "seed": made.seed,
        "index": made.index,
    }
    if made.difficulty != PLAIN:
        row |= {"difficulty": made.difficulty, "refuse": int(made.refuse)}
    return row


def _check(n: int, workers: int | None) -> None:
    if not 1 <= n <= MAX_IMAGES:
        raise ValueError(f"n: came {n}; expected 1..{MAX_IMAGES} images")
    if workers is not None and workers < 1:
        raise ValueError(f"workers: came {workers}; expected at least 1")


def _claim(out: Path, wanted: _Identity) -> None:
    """Make `out` this library's folder, or say why it cannot be.

    Images of another library would be taken for this one's, so they are not left beside them.
    """
    identity = out / IDENTITY
    if identity.exists():
        found = json.loads(identity.read_text(encoding="utf-8"))
        there = _Identity(
            seed=found["seed"],
            sizes=tuple(found["sizes"]),
            n=found["n"],
            difficulty=found.get("difficulty", PLAIN),
        )
        same = replace(there, n=wanted.n) == wanted
        if not same or there.n > wanted.n:
            raise ValueError(
                f"out: came {out}, which holds the library {there} and would be {wanted}; "
                "expected a new or empty folder, or the same library with as many images or more"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(
            f"out: came {out}, which is not an empty folder; "
            "expected a new or empty folder, or one with an earlier part of this library"
        )
    out.mkdir(parents=True, exist_ok=True)
    fields = asdict(wanted)
    if wanted.difficulty == PLAIN:
        del fields["difficulty"]
    _write_whole(identity, (json.dumps(fields, indent=2) + "\n").encode())


def _png(pixels: NDArray[Any]) -> bytes:
    _, encoded = cv2.imencode(".png", pixels)
    return encoded.tobytes()


def _write_whole(path: Path, content: bytes) -> None:
    """Write beside, then rename: nobody ever reads half a file."""
    partial = _partial(path)
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    """Name the unfinished file so that no search for images or tables finds it."""
    return path.with_name(path.name + ".partial")
