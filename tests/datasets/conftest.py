"""What the tests of data sets share."""
import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def log(caplog):
    """What mmengine's logger, which keeps to its own handlers, is given."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
