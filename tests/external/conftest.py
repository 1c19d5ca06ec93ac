import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def quick_collection():
    """The library of the format makes Python collect garbage, of which little is ours."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
