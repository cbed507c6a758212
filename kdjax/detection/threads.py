"""One thread of BLAS: products of a minute's beats are small, and several threads would wait.

Their number also changes how products round. With one, a file and a stream give the same bits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS has one thread in this block, or in the function that this decorates."""
    with _blas().limit(limits=1):
        yield


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")
