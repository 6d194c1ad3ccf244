"""The refined method as a whole: from a parent image to boxes, particle by particle.

Coordinates: x right, y down, from the upper-left corner. Docs, and what each step gave:
docs/method.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bodies import Mask, find_bodies
from .close_up import Scene
from .frame import Frame
from .lattice import Numbers
from .orientation import find_orientation
from .params import Controls, RefinedParams
from .particle import LEAST_RISE, Particle, box_particle

FEW = 4
"""Particles that have a full lattice each."""

FEWEST_CELLS = 24
"""Cells along the longer side that a particle always gets, if it has so many pixels."""

FILLS = 0.6
"""Share of the frame's border that particles may cover."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """What was found.

    Parameters
    ----------
    particles : tuple of Particle
    boxes : ndarray, int32, (N, 3)
        Of all particles, the best first: the first n explain as much as any n of them.
    regions : ndarray, uint8, (N,)
    owners : ndarray, int32, (N,)
        Which particle each box is of.
    """

    particles: tuple[Particle, ...]
    boxes: NDArray[np.int32]
    regions: NDArray[np.uint8]
    owners: NDArray[np.int32]


def locate(
    image: NDArray[Any],
    frame: Frame,
    n_elements: int | None,
    params: RefinedParams,
    controls: Controls,
) -> Located | str:
    """Box the particles of a frame that the gate let pass; or say why not.

    Parameters
    ----------
    image : ndarray, (height, width)
        As `as_image` returns it.
    frame : Frame
        As `see` returns it.
    n_elements : int or None
    params : RefinedParams
    controls : Controls

    Returns
    -------
    Located or str
        The reason, `code: what was measured and what was expected`.
    """
    smallest, largest = controls.sides_px()
    if largest < max(ceil(smallest), 1):
        return _no_room(controls)
    orientation = find_orientation(frame.cells)
    bodies = find_bodies(orientation.apply(frame.cells))
    if not bodies.masks:
        return (
            f"no particle: the brightest part is {bodies.highest / bodies.film.spread:.1f} spreads "
            "of the film above it; expected a connected part of 6 or more"
        )
    filled = _on_border(bodies.masks)
    if filled > FILLS:
        return (
            f"no particle: particles cover {filled:.0%} of the frame's border, so nothing shows "
            f"what the film looks like; expected at most {FILLS:.0%}"
        )
    chosen = _chosen(bodies.masks, controls)
    # many particles share what a few would have each: a lattice with fewer cells
    share = max(len(chosen) / FEW, 1.0) ** 0.5
    cells = max(round(params.cells / share), min(params.cells, FEWEST_CELLS))
    scene = Scene(
        image=image,
        frame=frame,
        orientation=orientation,
        bodies=bodies,
        params=params,
        cells=cells,
    )
    found: list[tuple[Particle, Numbers]] = []
    no_room = False
    for mask in chosen:
        boxed = box_particle(scene, mask, n_elements, controls, [one.boxes for one, _ in found])
        if not isinstance(boxed, str):
            found.append(boxed)
        elif boxed == "no room":
            no_room = True
    if not found and no_room:
        return _no_room(controls)
    if not found:
        return (
            "too noisy: no outline can be placed: what is brightest is "
            f"{bodies.highest:.1f} gray levels above the film, which varies by "
            f"{bodies.film.spread:.1f}; expected {LEAST_RISE:.0f} times as much on the "
            "particle's own lattice"
        )
    return _ranked(found, controls.max_boxes)


def _no_room(controls: Controls) -> str:
    smallest, largest = controls.sides_px()
    most = "" if largest == float("inf") else f", {largest:.4g} at most"
    asked = f"no box fits: a side must be {max(smallest, 1.0):.4g} pixels or more{most}; expected "
    if largest < max(ceil(smallest), 1):
        return asked + "a whole number of pixels between"
    return asked + "an even part of a particle in which such a box lies"


def _on_border(masks: tuple[Mask, ...]) -> float:
    """Say which share of the frame's border particles cover; no cell has two."""
    rows, columns = masks[0].shape
    covered = sum(
        np.count_nonzero(line)
        for mask in masks
        for line in (mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1])
    )
    return float(covered / (2 * (rows + columns) - 4))


def _chosen(masks: tuple[Mask, ...], controls: Controls) -> tuple[Mask, ...]:
    if controls.particles == "largest":
        return (max(masks, key=np.count_nonzero),)
    if controls.particles == "middle":
        return (min(masks, key=_off_middle),)
    return masks


def _off_middle(mask: Mask) -> float:
    """How far a particle's centre is from the frame's, squared."""
    y, x = np.nonzero(mask)
    rows, columns = mask.shape
    return float((y.mean() + 0.5 - rows / 2) ** 2 + (x.mean() + 0.5 - columns / 2) ** 2)


def _ranked(found: list[tuple[Particle, Numbers]], max_boxes: int | None) -> Located:
    """Put all boxes in one order, the best first, and keep as many as are wanted."""
    if len(found) == 1 and max_boxes is None:
        only = found[0][0]
        owners = np.zeros(len(only.boxes), np.int32)
        return Located(particles=(only,), boxes=only.boxes, regions=only.regions, owners=owners)
    owners = np.repeat(np.arange(len(found)), [len(gains) for _, gains in found])
    gains = np.concatenate([gains for _, gains in found])
    order = np.argsort(-gains, kind="stable")[:max_boxes]
    boxes = np.concatenate([particle.boxes for particle, _ in found])[order]
    regions = np.concatenate([particle.regions for particle, _ in found])[order]
    owner_of = owners[order].astype(np.int32)
    particles = tuple(
        Particle(
            bounding_box=particle.bounding_box,
            k=particle.k,
            boxes=boxes[owner_of == at],
            regions=regions[owner_of == at],
            area_px=particle.area_px,
            pitch_px=particle.pitch_px,
            explained=particle.explained * _kept(gains_of, int((owner_of == at).sum())),
        )
        for at, (particle, gains_of) in enumerate(found)
    )
    return Located(particles=particles, boxes=boxes, regions=regions, owners=owner_of)


def _kept(gains: Numbers, count: int) -> float:
    """Share of what its boxes explain that the first `count` of them explain."""
    return float(gains[:count].sum() / max(float(gains.sum()), 1e-300))
