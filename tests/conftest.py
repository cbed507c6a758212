"""Four virtual CPU devices and strict arithmetic for every test."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")
# Nothing is written into the user's cache folder, by other processes of the tests either.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import jax
import pytest

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)  # halves the time to compile


@pytest.fixture
def x64():
    """Runs a test in float64 and goes back to float32 after it."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(scope="module")
def float64():
    """Runs a whole file, and what its tests share, in float64."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)
