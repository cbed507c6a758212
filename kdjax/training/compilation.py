"""Compiled programs, kept from one start to the next."""

import os
from pathlib import Path

import jax

# A program that takes less is compiled again sooner than it is found.
_WORTH_KEEPING = 0.2  # seconds


def keep_programs() -> None:
    """Keeps compiled programs in the user's cache folder: a second start does not compile them.

    The folder is `$XDG_CACHE_HOME/kdjax` or `~/.cache/kdjax`; it may be deleted at any time, and
    grows until it is. JAX_COMPILATION_CACHE_DIR names another folder, with JAX's own settings;
    JAX_ENABLE_COMPILATION_CACHE=false keeps nothing. Where no folder can be made or written nothing
    is kept, and nothing else changes. To be called before anything is compiled.
    """
    settings = jax.config.values
    if not settings["jax_enable_compilation_cache"] or settings["jax_compilation_cache_dir"]:
        return
    try:
        home = os.environ.get("XDG_CACHE_HOME")
        folder = (Path(home) if home else Path.home() / ".cache") / "kdjax"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: nobody knows where home is
        return
    if os.access(folder, os.W_OK | os.X_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)
