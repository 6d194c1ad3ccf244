"""What an operator may ask of the refined method, before an image is there to ask it of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.refined.params import Controls, Which

_ASKED = Controls()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """`Controls`, but the pixel size, which each image brings along.

    Its fields are the stage's parameters in a topology.
    """

    max_boxes: int | None = _ASKED.max_boxes
    min_box_nm: float | None = _ASKED.min_box_nm
    max_box_nm: float | None = _ASKED.max_box_nm
    max_box_percent: int = _ASKED.max_box_percent
    purity: float = _ASKED.purity
    particles: Which = _ASKED.particles
    margin_px: int = _ASKED.margin_px

    def __post_init__(self) -> None:
        Controls(pixel_size_nm=1.0, **asdict(self))

    @property
    def need_pixel_size(self) -> bool:
        """Whether a box's side is asked for in nm."""
        return self.min_box_nm is not None or self.max_box_nm is not None

    def of(self, pixel_size_nm: object) -> Controls | str:
        """Return the controls for an image, or why there are none.

        Parameters
        ----------
        pixel_size_nm
            As it came with the image. What no microscope has counts as not known; that matters
            only where a side is asked for in nm.
        """
        usable = usable_pixel_size(pixel_size_nm)
        if usable is None and self.need_pixel_size:
            came = "none came" if pixel_size_nm is None else f"{pixel_size_nm!r:.40} came"
            return (
                f"no pixel size: boxes were asked for in nm and {came}; "
                "expected pixel_size_nm with the image, from 1e-06 to 1e+06"
            )
        return Controls(pixel_size_nm=usable, **asdict(self))


def usable_pixel_size(came: Any) -> float | None:  # noqa: ANN401 - files and senders say anything
    """Return a pixel size that the method can count with; None is not known."""
    try:
        return Controls(pixel_size_nm=came).pixel_size_nm
    except (TypeError, ValueError):
        return None
