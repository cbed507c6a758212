"""What the benchmarks count, and that the pages say what the committed figures say."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from benchmarks import performance_page, reliability_page, results_page
from benchmarks.roofline import step_flops
from kdjax import plots
from kdjax.models import Discriminator, Generator


@pytest.mark.parametrize(("width", "batch"), [(32, 64), (8, 1)])
def test_the_flops_of_a_step_are_those_of_its_products(width, batch):
    """Three passes of the generator's weights, nine of the discriminator's: see `step_flops`.

    A kernel [4, I, O] multiplies once for each sample on its shorter side, head and tail once.
    """
    beat = jnp.zeros((1, 320, 1))
    work = []
    for network in (Generator(width, 50, 320, 1), Discriminator(width)):
        shapes = jax.eval_shape(lambda n=network: n.init(jax.random.key(0), beat, train=False))
        macs = 0
        for path, leaf in jax.tree_util.tree_leaves_with_path(shapes["params"]):
            name = path[-1].key
            if name in ("head", "tail"):
                macs += leaf.size
            elif name.startswith("conv"):
                stage, decodes = int(name[4:]), path[0].key == "decoder"
                macs += leaf.size * (10 * 2**stage if decodes else 160 // 2**stage)
        work.append(macs)
    assert step_flops(width, batch) == 2 * batch * (3 * work[0] + 9 * work[1])


@pytest.mark.parametrize("page", [performance_page, reliability_page, results_page])
def test_a_page_is_what_the_committed_figures_make(page, tmp_path, monkeypatch):
    committed = Path(page.PAGE)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(plots, "save", lambda figure, path: None)  # figures beside the JSON
    page.main()
    assert (tmp_path / "page.md").read_text() == committed.read_text()
