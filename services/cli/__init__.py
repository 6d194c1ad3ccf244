"""The command `haadflow`. Nothing imports from here."""

from .app import main

__all__ = ["main"]
