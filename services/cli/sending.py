"""The work of `send`: read files or emulate images, offer them, say what was taken."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import typer
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from protocols.messages import Metadata
from services.detectors.client import Detector, NotAccepted
from services.detectors.file_finding import WHAT_IS_TAKEN, find_images
from services.detectors.files import ReadLimits, UnreadableImage, limits_up_to, read_image
from services.detectors.metadata import MetadataError, Resolver, with_file_metadata
from services.detectors.replay import Replay, Turn, turns
from services.detectors.stacks import FoundImage, StackRule, each_image
from services.megalibrary import PLAIN, emulated
from services.runtime import exit_codes

from .terminal import complain, err, fail, out, remark


class Picture(NamedTuple):
    """An image to be sent."""

    metadata: Metadata
    image: NDArray[Any]


class Pictures(Protocol):
    """Where images come from."""

    def __len__(self) -> int:
        """How many there are."""

    def get(self, index: int) -> Picture | None:
        """Return one; None if it cannot be read, which was said."""

    def remarks(self) -> list[str]:
        """Return what was said of images and not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """Images of the emulator."""

    n: int
    seed: int
    difficulty: str = PLAIN

    def __len__(self) -> int:
        return self.n

    def get(self, index: int) -> Picture:
        """Make one."""
        made = emulated(index, self.seed, difficulty=self.difficulty)
        name = f"synthetic-{self.seed}/{index:05d}_{made.composition}"
        metadata = Metadata(
            parent_id=name,
            source=name,
            composition=made.composition,
            pixel_size_nm=made.pixel_size_nm,
        )
        return Picture(metadata, made.image)

    def remarks(self) -> list[str]:
        """Return nothing: there is no table."""
        return []


class FromFiles:
    """Images of files."""

    def __init__(
        self, images: Sequence[FoundImage], resolver: Resolver, limits: ReadLimits
    ) -> None:
        self._images = images
        self._resolver = resolver
        self._limits = limits

    def __len__(self) -> int:
        return len(self._images)

    def get(self, index: int) -> Picture | None:
        """Read one."""
        image = self._images[index]
        try:
            metadata = self._resolver.metadata_of(image.found, image.place)
            read = read_image(image.path, limits=self._limits, index=image.place)
        except (UnreadableImage, MetadataError) as error:
            complain(f"{image.path}: {error}")
            return None
        return Picture(with_file_metadata(metadata, read), read.image)

    def remarks(self) -> list[str]:
        """Return what tables and names say and nobody uses."""
        return self._resolver.remarks()


def from_files(
    paths: list[Path],
    *,
    composition: str | None,
    n_elements: int | None,
    recursive: bool,
    table: Path | None,
    max_pixels: int | None,
    stack: StackRule,
) -> FromFiles:
    """Find the images of paths, or end with what is wrong."""
    limits = limits_up_to(max_pixels)
    try:
        resolver = Resolver(table=table, composition=composition, n_elements=n_elements)
        found = list(each_image(find_images(paths, recursive=recursive), stack, limits))
    except (MetadataError, OSError) as error:
        fail(str(error))
    if not found:
        fail(f"no images there: {WHAT_IS_TAKEN} are taken")
    return FromFiles(found, resolver, limits)


def send_pictures(
    pictures: Pictures,
    address: str,
    *,
    replay: Replay,
    repeat: int,
    patience_s: float,
    keys: Path | None,
) -> None:
    """Send images and print how many were accepted; end with status 3 when some were not."""
    detector = Detector(address, name="haadflow send", patience_s=patience_s, keys=keys)
    unreadable = sent = twice = late = 0
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    try:
        with Progress(*columns, console=err) as progress, detector:
            task = progress.add_task("accepted", total=len(pictures) * repeat)
            for turn in _on_time(detector, len(pictures) * repeat, replay):
                picture = pictures.get(turn.image % len(pictures))
                if picture is None:
                    unreadable += 1
                    continue
                detector.send_with(picture.metadata, picture.image, twice=turn.twice)
                sent, twice, late = sent + 1, twice + turn.twice, late + turn.late
                progress.update(task, completed=detector.accepted)
            detector.flush()
            progress.update(task, completed=detector.accepted)
        remark(pictures.remarks())
    except NotAccepted as error:
        fail(str(error), exit_codes.BROKEN)
    for refusal in detector.refusals:
        complain(f"{refusal.parent_id} was refused: {refusal.reason}")
    if replay.gaps or replay.duplicates or replay.late:
        left_out = len(pictures) * repeat - sent - unreadable
        out.print(f"left out {left_out}, offered twice {twice}, late {late}")
    out.print(
        f"accepted {detector.accepted}, refused {len(detector.refusals)}, unreadable {unreadable}"
    )
    if detector.refusals or unreadable:
        raise typer.Exit(exit_codes.SOME_FAILED)


def _on_time(detector: Detector, count: int, replay: Replay) -> Iterator[Turn]:
    """Yield turns when they are due; one that is overdue comes at once, as at a slow detector."""
    started = time.monotonic()
    for turn in turns(count, replay):
        detector.wait(started + turn.due_s - time.monotonic())
        yield turn
