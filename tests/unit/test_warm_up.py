"""What a worker's first frame would wait for has been compiled before."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher

import pipeline
from pipeline import box, cluster, preprocess, process
from pipeline.box import BoxParams
from pipeline.emulation import emulate
from pipeline.locate import Method
from pipeline.preprocess import Preprocessed
from pipeline.warm import DTYPES, warm_up


def compiled() -> set[tuple[str, str]]:
    """Return every kernel with each of its signatures."""
    found = set()
    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, CPUDispatcher):
                found |= {(f"{module.name}.{name}", str(s)) for s in value.signatures}
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["published", "refined"])
def test_nothing_is_compiled_after_warming_up(dtype: str, method: Method) -> None:
    warm_up(refined=True)
    warm = compiled()
    assert len({name for name, _ in warm}) > 8
    image = emulate(1, seed=2, size=256).image.astype(dtype)
    # Of a large one `find_scaling` looks at every second row only, which is another kind of array.
    large = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    for picture in (image, np.asfortranarray(image), image.T, large):
        process(picture, method=method)
    assert compiled() == warm


def test_behind_the_gate_one_number_type_is_enough() -> None:
    warm_up(["u1"])
    warm = compiled()
    result = process(emulate(1, seed=2, size=256, bit_depth=8).image)
    assert result.outcome == "located"
    assert result.labels is not None
    grid_image = np.zeros((128, 128), np.uint8)
    grid_image[40:80, 30:90] = 120
    grid_image.flags.writeable = False  # as it comes out of a message
    found = preprocess(grid_image)
    assert isinstance(found, Preprocessed)
    found.filtered.flags.writeable = False
    labels = cluster(found.filtered, 2).labels
    labels.flags.writeable = False
    for algorithm in (1, 2):
        box(labels, BoxParams(algorithm=algorithm))
    assert compiled() == warm
