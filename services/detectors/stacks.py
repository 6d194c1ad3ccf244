"""What becomes of a file that holds several images: refused, or taken one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from .file_finding import Found
from .files import ReadLimits, UnreadableImage, count_images

StackRule = Literal["refuse", "images"]
STACK_RULES: tuple[str, ...] = get_args(StackRule)


class FoundImage(NamedTuple):
    """One image of a file that was found."""

    found: Found
    place: int | None = None
    """In a stack, from 0; None where the file is to hold one image."""

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.found.path


def each_image(found: Iterable[Found], rule: StackRule, limits: ReadLimits) -> Iterator[FoundImage]:
    """Yield the images of files: of a stack each, if the rule is `images`.

    Nothing stops the others: a file that cannot be opened comes as one image, whose reading will
    say why, and so does a stack of more images than the limit.
    """
    for file in found:
        count = 1 if rule == "refuse" or file.problem else _count(file.path, limits)
        if count == 1:
            yield FoundImage(file)
        elif count > limits.pages:
            yield FoundImage(file, 0)
        else:
            yield from (FoundImage(file, place) for place in range(count))


def _count(path: Path, limits: ReadLimits) -> int:
    try:
        return count_images(path, limits=limits)
    except UnreadableImage:
        return 1
