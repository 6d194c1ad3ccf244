"""What makes images hard: one setting each of one scene.

Ranges are those of micrographs in use, at 512 px; none is so hard that an eye would not find the
particle, except where nothing is to be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from .bodies import Kind

Difficulty = Literal[
    "several",
    "border",
    "faint",
    "film",
    "small",
    "low-dose",
    "streaks",
    "lattice",
    "hot",
    "concave",
    "hollow",
    "gradient",
    "empty",
    "bright-field",
    "bare-lattice",
]
DIFFICULTIES: tuple[Difficulty, ...] = get_args(Difficulty)

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One difficulty.

    Parameters
    ----------
    says : str
        What is hard, in a line.
    particles : (int, int)
        Least and most.
    diameter : (float, float)
        Of each, as a share of the picture's side.
    kind : "convex", "concave" or "hollow"
    cut : (float, float)
        Share of the particle's extent that lies beyond the border.
    faint : bool
        Whether one phase is much darker than the rest, or all are nearly alike.
    gradient : bool
        Whether brightness changes all across the particle, without an edge.
    tilt : (float, float)
        Rise of the film across the picture, as a share of the particle's brightness.
    peak : (float, float)
        Electrons a pixel where the particle is brightest.
    streaks : (float, float)
        Fluctuation from one scan line to the next.
    fringes : (float, float)
        Depth of lattice fringes on the particle.
    hot : (int, int)
        Hot pixels in a picture of 512 px; such a picture is 16 bit.
    inverted : bool
        Bright field.
    bare : bool
        A lattice all over the picture.
    """

    says: str
    particles: tuple[int, int] = (1, 1)
    diameter: Range = (0.25, 0.85)
    kind: Kind = "convex"
    cut: Range = (0.0, 0.0)
    faint: bool = False
    gradient: bool = False
    tilt: Range = (0.0, 0.0)
    peak: Range = (40.0, 400.0)
    streaks: Range = (0.0, 0.006)
    fringes: Range = (0.0, 0.0)
    hot: tuple[int, int] = (0, 0)
    inverted: bool = False
    bare: bool = False

    @property
    def refuse(self) -> bool:
        """Whether there is nothing to box."""
        return self.inverted or self.particles[1] == 0


SETTINGS: dict[Difficulty, Setting] = {
    "several": Setting(
        says="two or three particles in the frame", particles=(2, 3), diameter=(0.16, 0.36)
    ),
    "border": Setting(says="the border cuts 10 to 50 % off", diameter=(0.3, 0.6), cut=(0.1, 0.5)),
    "faint": Setting(says="one phase near the film, or phases nearly alike", faint=True),
    "film": Setting(
        says="a film that is brighter on one side, or ends",
        diameter=(0.25, 0.7),
        tilt=(0.08, 0.3),
    ),
    "small": Setting(says="10 to 20 % of the frame across", diameter=(0.1, 0.2)),
    "low-dose": Setting(says="3 to 12 electrons in the brightest pixel", peak=(3.0, 12.0)),
    "streaks": Setting(says="scan lines differ by 3 to 10 %", streaks=(0.03, 0.1)),
    "lattice": Setting(says="lattice fringes on the particle", fringes=(0.1, 0.4)),
    "hot": Setting(says="raw counts on an offset, 10 to 300 hot pixels", hot=(10, 300)),
    "concave": Setting(says="bodies with arms", kind="concave"),
    "hollow": Setting(says="rings and shells", kind="hollow"),
    "gradient": Setting(says="composition changes without an edge", gradient=True),
    "empty": Setting(says="film without a particle", particles=(0, 0), tilt=(0.0, 0.1)),
    "bright-field": Setting(says="particle dark on bright", inverted=True),
    "bare-lattice": Setting(says="a lattice fills the frame", particles=(0, 0), bare=True),
}
