"""A small world with one finished run, for the files that ask for it."""

import shutil

import pytest


@pytest.fixture(scope="module")
def small_world():
    import tiny

    tiny.trained()
    with tiny.small_world():
        yield


@pytest.fixture
def workdir(tmp_path):
    """A run directory that holds the finished teacher, so that only the student trains."""
    import tiny

    shutil.copytree(tiny.trained().path / "teacher", tmp_path / "run" / "teacher")
    return tmp_path / "run"
