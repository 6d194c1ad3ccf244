"""The package `pipeline`: its names, and what importing it brings along."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import pipeline


def run(program: str) -> str:
    """Run a program in a fresh interpreter and return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_every_public_name_is_there_and_no_module() -> None:
    for name in pipeline.__all__:
        assert not isinstance(getattr(pipeline, name), ModuleType), name
    assert set(pipeline.__all__) <= set(dir(pipeline))


@pytest.mark.parametrize("module", ["composition", "time_model"])
def test_what_needs_no_compiler_does_not_import_it(module: str) -> None:
    program = f"import sys, pipeline.{module}; print('numba' in sys.modules, 'cv2' in sys.modules)"
    assert run(program) == "False False"


@pytest.mark.parametrize("step", ["box", "cluster", "downsize", "preprocess"])
def test_a_step_is_the_function_even_where_its_module_was_imported_first(step: str) -> None:
    program = (
        f"import pipeline.{step}; from pipeline.{step} import {step} as there; "
        f"from pipeline import {step}; print({step} is there and pipeline.{step} is there)"
    )
    assert run(program) == "True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pipeline' has no attribute 'boxes'"):
        getattr(pipeline, "boxes")  # noqa: B009 # mypy knows that there is none
