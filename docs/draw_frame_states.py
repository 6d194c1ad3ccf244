"""Draw docs/frame-states.png, the states of a frame: `python docs/draw_frame_states.py`.

Black arrows are the way of a frame that meets no trouble; red ones, dashed, are taken when
something dies, hangs or starts again. The numbers are those of the table in docs/guarantees.md.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

mpl.use("Agg")

BLACK, RED, GREY = "#222222", "#b3261e", "#6b6b6b"
STATES = {
    # name: (x, y, where it is, colour)
    "offered": (0, 3, "the detector's memory", "#eeeeee"),
    "refused": (0, 1.45, "the detector's again,\nwith a reason", "#eeeeee"),
    "accepted": (2.6, 3, "ledger, and spool or file", "#cfe3f5"),
    "waiting": (5.2, 3, "a stage queue's memory", "#fdf1cf"),
    "in hand": (7.8, 3, "a worker's memory,\na lease in its queue", "#fdf1cf"),
    "ended": (10.4, 3, "the sink's memory", "#fdf1cf"),
    "committed": (10.4, 1.2, "results.sqlite: located,\nrejected or failed", "#cfe3f5"),
    "closed": (10.4, -0.6, "ledger and results", "#d6ecd2"),
    "dead letter": (5.2, -0.6, "results, and its image", "#f6d5d1"),
}
WIDTH, HEIGHT = 1.95, 0.86


def main() -> None:
    """Draw and save."""
    figure = Figure(figsize=(12.4, 5.6), dpi=110)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    for name in STATES:
        _state(axes, name)
    _arrow(axes, "offered", "accepted", "1")
    _arrow(axes, "offered", "refused", "2", side="down")
    _arrow(axes, "accepted", "waiting", "3 sent")
    _arrow(axes, "waiting", "in hand", "4 leased")
    _arrow(axes, "in hand", "ended", "6 result")
    _arrow(axes, "ended", "committed", "7", side="down")
    _arrow(axes, "committed", "closed", "8 acknowledged", side="down")
    for tail, head, bend, colour, text, place in CURVES:
        _patch(axes, tail, head, colour, f"arc3,rad={bend}")
        axes.text(*place, text, ha="center", va="center", size=8.5, color=colour)
    axes.set_xlim(-1.3, 11.7)
    axes.set_ylim(-1.3, 5.4)
    axes.axis("off")
    figure.savefig(Path(__file__).with_name("frame-states.png"), metadata={"Software": None})


_SENT_AGAIN = "10 sent again: a queue, the sink or the source has started anew, or nobody answers"
_Point = tuple[float, float]
CURVES: tuple[tuple[_Point, _Point, float, str, str, _Point], ...] = (
    # from, to, bend, colour, text and where it stands
    ((7.5, 3.43), (5.5, 3.43), 0.5, BLACK, "5 next stage", (6.5, 4.1)),
    ((7.5, 2.57), (5.5, 2.57), -0.5, RED, "9 worker died, or\noverran the deadline", (6.5, 1.7)),
    ((8.1, 2.57), (10.1, 2.57), 0.4, RED, "11 third death,\n12 exception: failed", (8.75, 1.8)),
    ((10.1, 3.43), (2.6, 3.43), 0.28, RED, _SENT_AGAIN, (6.4, 4.75)),
    ((9.42, -0.6), (6.18, -0.6), 0.0, GREY, "if failed", (7.8, -0.45)),
    ((4.5, -0.17), (2.9, 2.57), 0.0, GREY, "13 replay:\na new frame", (2.72, 0.95)),
)


def _state(axes: Axes, name: str) -> None:
    x, y, where, colour = STATES[name]
    box = FancyBboxPatch(
        (x - WIDTH / 2, y - HEIGHT / 2),
        WIDTH,
        HEIGHT,
        boxstyle="round,pad=0.02,rounding_size=0.12",
        facecolor=colour,
        edgecolor=BLACK,
        linewidth=1.1,
    )
    axes.add_patch(box)
    lines = where.count("\n") + 1
    axes.text(x, y + 0.1 + 0.08 * lines, name, ha="center", va="center", weight="bold", size=11)
    axes.text(x, y - 0.14, where, ha="center", va="center", size=8, color=BLACK, linespacing=1.1)


def _arrow(axes: Axes, start: str, end: str, text: str, *, side: str = "right") -> None:
    x0, y0 = STATES[start][:2]
    x1, y1 = STATES[end][:2]
    if side == "right":
        tail, head = (x0 + WIDTH / 2 + 0.03, y0), (x1 - WIDTH / 2 - 0.03, y1)
        place, align = ((tail[0] + head[0]) / 2, y0 + 0.16), "center"
    else:
        tail, head = (x0, y0 - HEIGHT / 2 - 0.03), (x1, y1 + HEIGHT / 2 + 0.03)
        place, align = (x0 + 0.1, (tail[1] + head[1]) / 2), "left"
    _patch(axes, tail, head, BLACK, "arc3")
    axes.text(*place, text, ha=align, va="center", size=8.5)


def _patch(
    axes: Axes, tail: tuple[float, float], head: tuple[float, float], colour: str, style: str
) -> None:
    axes.add_patch(
        FancyArrowPatch(
            tail,
            head,
            arrowstyle="-|>",
            mutation_scale=13,
            connectionstyle=style,
            color=colour,
            linewidth=1.3,
            linestyle="--" if colour == RED else "-",
            shrinkA=0,
            shrinkB=0,
        )
    )


if __name__ == "__main__":
    main()
