"""The tests on each Python that is installed, with the newest packages that it can have.

nox                      # every interpreter that is there
nox -s pinned            # the versions of constraints.txt
nox -s newest-3.13       # the newest of everything
"""

import nox

nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["pinned", "newest"]


@nox.session(python="3.11")
def pinned(session: nox.Session) -> None:
    """Python 3.11 with the pinned versions, as CI runs it."""
    session.install("-e", ".[test]", "-c", "constraints.txt")
    session.run("pytest", *session.posargs)


@nox.session(python=["3.12", "3.13"])
def newest(session: nox.Session) -> None:
    """A later Python with whatever the ranges of pyproject.toml allow."""
    session.install("-e", ".[test]")
    session.run("python", "-c", "import jax, flax; print(jax.__version__, flax.__version__)")
    session.run("pytest", *session.posargs)
