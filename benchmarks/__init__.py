"""Figures, measured: speed and agreement."""
