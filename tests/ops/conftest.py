import pytest

from dicenet_mm.ops import library


@pytest.fixture(params=library.INSTRUCTION_SETS or [pytest.param(None, marks=pytest.mark.skip('not built'))])
def instruction_set(request):
    """Each instruction set that this machine runs, while the test does."""
    with library.instruction_set(request.param):
        yield request.param
