"""Compile the kernels before the workers start, so that it happens once and not in each of them."""

from __future__ import annotations

from rich.console import Console


def say_and_compile(console: Console) -> None:
    """Warm the kernels' cache, saying so if it takes noticeable time."""
    with console.status("compiling the kernels (once, up to a minute)"):
        from pipeline import warm_up

        warm_up()
