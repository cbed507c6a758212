"""Products of the precision that a config asks for."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from kdjax.runs import config as configs
from kdjax.training import assemble


class TestPrecision:
    @pytest.mark.parametrize("name", configs.PRECISIONS)
    def test_products_are_of_the_precision_asked_for(self, name):
        with assemble.products(tiny.config(precision=name)):
            asked = str(jax.make_jaxpr(jnp.matmul)(np.eye(2), np.eye(2)))
        wanted = {"float32": "HIGHEST", "tensorfloat32": "HIGH", "bfloat16": "BF16_BF16_F32"}
        assert re.search(rf"(precision=|Precision\.){wanted[name]}\b", asked), asked

    def test_a_cpu_computes_them_all_in_float32(self):
        x = np.random.default_rng(0).standard_normal((2, 32, 32)).astype(np.float32)
        found = []
        for name in configs.PRECISIONS:
            with assemble.products(tiny.config(precision=name)):
                found.append(np.asarray(jax.jit(jnp.matmul)(*x)))
        for other in found[1:]:
            np.testing.assert_array_equal(other, found[0])
