"""Tests: unit, contract, socket, system; one frame through the files first."""
