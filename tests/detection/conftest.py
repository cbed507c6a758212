"""The detector that comes with the package, and what it finds in one recording."""

import pytest


@pytest.fixture(scope="session")
def detector():
    from kdjax.runs import directory

    return directory.load_run("mitbih-w8")


@pytest.fixture(scope="session")
def whole(detector):
    """What is found in the whole recording."""
    from recorded import ecg, source

    from kdjax.detection.recording import detect

    return detect(detector, source(ecg()[0]))
