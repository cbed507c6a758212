"""What the benchmarks count, and that the pages say what they are made from."""

import importlib
import inspect
import math
import re
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.pages import card as card_page
from benchmarks.pages import commands as commands_page
from benchmarks.pages import detection as detection_page
from benchmarks.pages import figures, rpeaks, speed, study
from benchmarks.pages import performance as performance_page
from benchmarks.pages import reliability as reliability_page
from benchmarks.pages import results as results_page
from benchmarks.speed import additions, chunks, measure, train_step
from benchmarks.speed.roofline import saved_flops, step_flops
from configs import teacher
from kdjax.models.networks import Discriminator, Generator
from kdjax.pages import plots
from kdjax.training import assemble, step

ROOT = Path(__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
    if path.name != "__init__.py"
]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.json")]
OPTIONAL = {"torch", "playwright"}  # only one benchmark needs either


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_is_imported_and_says_what_it_takes(name, monkeypatch, capsys):
    """A module that names what the package no longer has fails here, not after hours."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        pytest.skip(f"{name} needs {error.name}")
    text = Path(module.__file__).read_text(encoding="utf-8")
    if hasattr(module, "main") and re.search(r"parse_args|trial_arguments\(", text):
        monkeypatch.setattr(sys, "argv", [name, "--help"])
        with pytest.raises(SystemExit) as ended:
            module.main()
        assert ended.value.code == 0
        assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_command_on_a_page_names_a_benchmark_that_is_there(page):
    """With its word: `reliability` has one for each experiment."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"-m (benchmarks(?:\.\w+)+)", text):
        assert name in MODULES
    for word in re.findall(r"-m benchmarks\.robustness\.reliability (\w+)", text):
        source = (ROOT / "benchmarks/robustness/reliability.py").read_text(encoding="utf-8")
        assert re.search(rf'"{word}"', source), word


def test_ratios_are_of_the_rounds_that_measured_both():
    assert measure.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 3.0}
    # 4/2, 9/3 and 2/4 of the rounds; of the medians it would be 4/3.
    expected = {"median": 2.0, "low": 0.5, "high": 3.0}
    assert measure.ratios([4.0, 9.0, 2.0], [2.0, 3.0, 4.0]) == expected
    with pytest.raises(ValueError, match="shorter"):
        measure.ratios([1.0, 2.0], [1.0])


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


@pytest.mark.slow
def test_a_compiled_step_multiplies_as_often_as_is_said():
    """The products in XLA's own program, with a batch at which every form takes three.

    Nobody asks for gradients in beats: a thousandth is less than said.
    """
    width, batch = 32, 256
    config = teacher.get_config()
    config.model.width = width
    trainer = assemble.make_trainer(config, (320, 1))
    x, order = chunks.noise(512), chunks.batches(512, 2, batch)
    key = jax.random.key_data(jax.random.key(0))
    steps = jax.jit(partial(step.run_steps, trainer)).lower(
        chunks.drawn_state(trainer), None, x, order, np.array([0, 2], np.int32), key
    )
    said = step_flops(width, batch) - saved_flops(width, batch)
    assert said < 0.85 * step_flops(width, batch)
    assert flops_of_products(steps.compile().as_text()) == pytest.approx(said, rel=1e-3)


def flops_of_products(program):
    """Twice the elements of every `dot` of an HLO text times what each is a sum of."""
    shapes = dict(re.findall(r"%?([\w.-]+) = \w+\[([\d,]*)\]", program))
    dot = (
        r"= f32\[([\d,]*)\]\S* dot\((?:f32\[[\d,]*\]\S* )?%?([\w.-]+).*lhs_contracting_dims={(\d+)}"
    )
    flops = 0
    for out, left, axis in re.findall(dot, program):
        summed = int(shapes[left].split(",")[int(axis)])
        flops += 2 * math.prod(map(int, out.split(","))) * summed
    return flops


@pytest.mark.parametrize(
    "page",
    [
        card_page,
        commands_page,
        detection_page,
        performance_page,
        reliability_page,
        results_page,
    ],
    ids=lambda page: page.PAGE.stem,
)
def test_a_page_is_what_the_committed_figures_make(page, tmp_path, monkeypatch):
    committed = Path(page.PAGE)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(plots, "save", lambda figure, path: None)  # figures beside the JSON
    page.main()
    assert (tmp_path / "page.md").read_text() == committed.read_text()


@pytest.mark.parametrize(
    ("low", "middle", "high", "most", "verdict"),
    [
        (1.1, 1.2, 1.3, False, performance_page.REACHED),
        (0.9, 1.2, 1.3, False, "by the median, not in every round"),
        (0.8, 0.9, 1.3, False, performance_page.MISSED),
        (0.8, 0.9, 1.3, True, "by the median, not in every round"),
        (0.8, 1.1, 1.3, True, performance_page.MISSED),
    ],
)
def test_an_aim_is_reached_by_its_median_or_by_every_round(low, middle, high, most, verdict):
    ratio = {"low": low, "median": middle, "high": high}
    assert performance_page.Aim("a / b", ratio, 1.0, most).verdict == verdict


def test_the_page_names_what_is_faster_than_kdjax():
    def row(software, ratio):
        spread = {"low": ratio, "median": ratio, "high": ratio}
        return {"software": software, "width": 8, "batch": 1, "kdjax_is_faster_by": spread}

    rows = [row("kdjax", 1.0), row("torch eager", 2.0), row("onnxruntime", 0.5)]
    sentence = speed._slower(rows, 1)
    assert sentence == (
        "For 1 beat, these are faster than kdjax: ONNX Runtime at width 8 (0.50 [0.50, 0.50])."
    )
    assert speed._slower(rows[:2], 1) == "For 1 beat, kdjax is the fastest."


@pytest.mark.parametrize(
    ("se", "words"),
    [
        (0.99004, "In this table, no other detector has a higher Se or +P."),  # 99.00, as printed
        (0.9902, "These have a higher Se or +P: gqrs on DS2."),
    ],
)
def test_a_detector_that_is_better_is_named(se, words):
    own = {f"kdjax, {group}": {"se": 0.99, "p": 0.98} for group in rpeaks.SHOWN}
    found = {"gross": own, "quoted": {"gqrs, DS2": {"se": se, "p": 0.97}}}
    assert rpeaks._higher(found) == words


def test_folds_are_counted_by_what_their_intervals_exclude():
    intervals = {1: (0.1, 0.2), 2: (-0.2, -0.1), 3: (-0.1, 0.1), 4: (-0.2, -0.1)}
    splits = [
        {"fold": fold, "differences": {"a": {"auc (mse)": {"ci95": interval}}}}
        for fold, interval in intervals.items()
    ]
    sentence = study._over_folds("a", splits)
    assert sentence == "`a` is better than `alone` on fold 1 of 4 and worse on folds 2, 4"


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.8, 0.85), "is worse than"),
        ((0.85, 0.95), "is not shown to differ from"),
        ((0.95, 1.0), "is better than"),
    ],
)
def test_a_network_is_set_beside_a_pca_by_its_interval(interval, verdict):
    row = {"mean": sum(interval) / 2, "ci95": interval}
    assert f") {verdict} a PCA" in results_page._beside_pca("teacher", row, {"auc": 0.9})


def test_contestants_are_given_the_arguments_that_they_take(monkeypatch):
    """They are called by tuples, in processes of their own, where no type checker looks."""
    bound = []

    def only_bind(wanted):
        bound.extend(inspect.signature(prepare).bind(*args) for prepare, *args in wanted.values())
        raise KeyboardInterrupt

    monkeypatch.setattr(additions, "contestants", only_bind)
    monkeypatch.setattr(train_step, "contestants", only_bind)
    monkeypatch.setattr("sys.argv", ["additions", "--out", "none.json", "--quick"])
    with pytest.raises(KeyboardInterrupt):
        additions.main()
    with pytest.raises(KeyboardInterrupt):
        train_step.compare(SimpleNamespace(student=False), 2, 1)
    assert len(bound) == len(additions.VARIANTS) + 5


FOUND = {"mean": 0.01, "ci95": [-0.02, 0.04]}
APART = {"mean": 0.03, "ci95": [0.01, 0.05]}


def test_differences_are_drawn_with_their_intervals_in_the_order_given():
    figure = figures.differences([("first", FOUND), ("second", APART)], "AUC")
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    assert ax.yaxis_inverted()
    drawn = [list(line.get_xdata()) for line in ax.lines]
    assert [-0.02, 0.04] in drawn
    assert [0.01, 0.05] in drawn
    # An interval without 0 has another mark, not only another colour.
    marks = {tuple(line.get_xdata()): line.get_marker() for line in ax.lines}
    assert marks[(0.01,)] != marks[(0.03,)]


def test_quality_over_cost_shows_networks_as_points_and_the_others_as_lines():
    figure = figures.quality_cost(
        {"small": (1e6, FOUND), "beside": (1e6, APART), "large": (2e7, APART)}, {"simple": 0.02}
    )
    ax = figure.axes[0]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(names) == ["beside", "large", "simple", "small"]
    points = [c.lines[0].get_xdata()[0] for c in ax.containers]
    assert points[0] == 1e6
    assert points[0] < points[1] < 1.2e6  # of one size, side by side
    assert ax.get_xscale() == "log"
