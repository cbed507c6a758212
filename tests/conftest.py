"""Four virtual CPU devices, strict arithmetic and one folder of programs for every test."""

import importlib.metadata
import os
import tempfile

os.environ.setdefault("MPLBACKEND", "Agg")
# What one process of the tests has compiled the others read; the user's cache folder has no part.
if "KDJAX_TESTS_PROGRAMS" not in os.environ:
    _programs = tempfile.TemporaryDirectory(prefix="kdjax-programs-")
    os.environ["KDJAX_TESTS_PROGRAMS"] = _programs.name
# So that a run that many tests look at is trained once; see `tiny.trained`.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _shared = tempfile.TemporaryDirectory(prefix="kdjax-tests-")
    os.environ["KDJAX_TESTS_SHARED"] = _shared.name
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ["KDJAX_TESTS_PROGRAMS"]
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
# XLA's older emitters compile a training step in a third of the time. Later ones have none, and
# end a process that asks for a flag they do not know.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "") + " --xla_cpu_use_fusion_emitters=false"
    ).strip()

import hypothesis
import jax
import pytest

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)  # halves the time to compile

# A busy machine may take any time for an example. x64 stays on for all examples of a test.
hypothesis.settings.register_profile(
    "kdjax",
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)
hypothesis.settings.load_profile("kdjax")


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
