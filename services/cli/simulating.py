"""`simulate`: the whole loop on a simulated microscope."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
import typer

from services.runtime import exit_codes

from .options import Json
from .terminal import err, fail, out, print_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from services.simulation.loop import Instrument

SEED, SIZE = 2025, 512
FOLDER = Path("haadflow-simulate")


def simulate(
    image: Annotated[
        Path | None,
        typer.Argument(help="The specimen of a Nion microscope; an emulated particle by default."),
    ] = None,
    controller: Annotated[str, typer.Option(help="nion or direct-electron.")] = "nion",
    folder: Annotated[Path, typer.Option("--out", help="A new folder.")] = Path(
        "haadflow-simulate"
    ),
    environment: Annotated[
        Path | None,
        typer.Option(
            help="Where its packages are; .venv-CONTROLLER here by default (make makes it)."
        ),
    ] = None,
    kill_adapter_after: Annotated[
        int | None,
        typer.Option(help="Kill the adapter when so many boxes have receipts, and go on.", min=1),
    ] = None,
    as_json: Json = False,
) -> None:
    """Survey, boxes and acquisition on a simulated microscope, compared box by box.

    Status 0 only if every box was acquired once, where it should be, and nothing else was.
    """
    from services.simulation.loop import NEEDS, SimulationFailed
    from services.simulation.loop import simulate as close_the_loop

    if controller not in NEEDS:
        fail(f"--controller {controller!r:.80}: expected one of {sorted(NEEDS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"--out {folder}: is there already; expected a new folder")
    if image is not None and controller != "nion":
        fail(f"{image}: {controller} has a specimen of its own; expected no image")
    python = _python(controller, environment)
    try:
        done = close_the_loop(
            _specimen(image) if controller == "nion" else None,
            cast("Instrument", controller),
            folder,
            python=python,
            kill_after=kill_adapter_after,
            tell=lambda text: err.print(text, markup=False, highlight=False),
        )
    except SimulationFailed as error:
        fail(str(error), exit_codes.BROKEN)
    if as_json:
        print_json(msgspec.to_builtins(done) | {"closes": done.closes})
    else:
        out.print(
            f"{done.acquired} of {done.boxes} boxes acquired, "
            f"largest error {done.max_abs_error:g}; "
            f"boxes after {done.time_to_coordinates_s:.3f} s, "
            f"acquired in {done.acquisition_s:.1f} s; "
            f"{done.points} of {done.full_grid_points} points: {done.saving:.1f} times fewer",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        out.print(str(folder / "simulation.png"), markup=False, soft_wrap=True)
    raise typer.Exit(exit_codes.OK if done.closes else exit_codes.NOT_CLOSED)


def _python(controller: str, environment: Path | None) -> str:
    """Return the interpreter of the environment in which the instrument's packages are."""
    from services.simulation.loop import NEEDS

    made = environment or Path(f".venv-{controller}")
    # One that was named and is not there is not replaced by this one in silence.
    python = str(made / "bin" / "python")
    if environment is None and not made.is_dir():
        python = sys.executable
    check = [python, "-c", f"import {NEEDS[controller]}"]
    try:
        found = subprocess.run(check, capture_output=True, check=False).returncode == 0
    except OSError:
        found = False
    if not found:
        fail(
            f"{controller}: {NEEDS[controller]} is not in {made}; "
            f"`make .venv-{controller}/.installed` makes that environment, or say --environment"
        )
    return str(Path(python).absolute())


def _specimen(image: Path | None) -> NDArray[Any]:
    """Read the specimen, or make one."""
    if image is None:
        from pipeline.emulation import emulate

        return emulate(3, SEED, size=SIZE, bit_depth=8).image
    from services.detectors.files import UnreadableImage, read_image

    try:
        return read_image(image).image
    except (OSError, UnreadableImage) as error:
        fail(f"{image}: {error}")
