from functools import cache
from pathlib import Path

import numpy as np
import pytest
from architecture import imports
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from kdjax.pages import plots

CLASSES = ("N", "S", "V", "F", "Q")

EPOCHS = [
    {
        "epoch": epoch,
        "seconds": 39.5,
        "D_real": 0.3 / epoch,
        "D_fake": 0.2 / epoch,
        "reconstruction": 0.02 / epoch,
        "feature_matching": 0.01 / epoch,
        "kd_response": 3e-5,
        "val_auc": 0.9,
        "val_ap": 0.8,
        "grad_norm/reconstruction": 0.1,
        "grad_norm/kd_response": 1e-4,
        "selected": 0.7,
        "phase": "text is not plotted",
    }
    for epoch in (1, 2, 3)
]


def some_scores():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2, 4], [300, 60, 80, 3])
    return label, np.exp(rng.normal(-4 + label, 0.5))


def some_beats(leads=1, n=12):
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (n, 64, leads)).astype(np.float32)
    x_hat = x + np.linspace(0.1, 0.9, n, dtype=np.float32)[:, None, None]
    return {
        "x": x,
        "x_hat": x_hat,
        "score": ((x - x_hat) ** 2).mean((1, 2)),
        "label": np.arange(n) % 5,
        "record": np.array([f"r{i}" for i in range(n)]),
        "sample": np.arange(n) * 3600,
        "fs": 360.0,
        "classes": CLASSES,
    }


def some_windows():
    """Two channels at no rate, with names as long as can be."""
    windows = some_beats(leads=2)
    n = len(windows["x"])
    names = ("normal", *(word * 8 for word in ("jammed ", "bent ", "slow ", "loose ")))
    group = np.array([f"the press in the northern hall, number {i}" for i in range(n)])
    return windows | {"record": group, "sample": np.arange(n) / 7, "fs": None, "classes": names}


def text_of(figure):
    """Every text of a figure, legends and those of its parts included."""
    return [item.get_text() for item in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def panels(figure):
    return {ax.get_title(loc="left"): ax for ax in figure.axes}


def curves(ax):
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in ax.lines}


FIGURES = {
    "loss_curves": lambda: plots.loss_curves(EPOCHS),
    "roc_pr": lambda: plots.roc_pr(some_scores()[0] > 0, some_scores()[1]),
    "score_histogram": lambda: plots.score_histogram(
        *some_scores(), thresholds={"5 %": 0.03}, classes=CLASSES
    ),
    "beats": lambda: plots.beats(**some_beats()),
    "three beats": lambda: plots.beats(**some_beats(n=3)),
    "windows": lambda: plots.beats(**some_windows()),
}


@cache
def figure_of(name):
    return FIGURES[name]()


@pytest.mark.parametrize("name", FIGURES)
def test_texts_lie_within_the_figure_and_cover_no_other(name):
    """Titles and the names of axes, at 40 dots an inch for speed: the layout is the same."""
    figure = figure_of(name)
    figure.set_dpi(40)
    figure.draw_without_rendering()
    whole = figure.bbox.padded(1)
    placed = []
    for ax in figure.axes:
        for text in (ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label):
            if text.get_text() and text.get_visible():
                box = text.get_window_extent()
                assert whole.x0 <= box.x0 < box.x1 <= whole.x1, text
                assert whole.y0 <= box.y0 < box.y1 <= whole.y1, text
                placed.append((box, text))
    for i, (box, text) in enumerate(placed):
        for other, beside in placed[:i]:
            assert not box.padded(-1).overlaps(other.padded(-1)), (text, beside)


def test_a_saved_figure_is_a_png_of_its_size_with_its_lines_and_is_replaced_whole(tmp_path):
    label, score = some_scores()
    figure = plots.score_histogram(label, score, {"5 %": 0.03}, classes=CLASSES)
    path = plots.save(figure, tmp_path / "figures" / "f.png")
    pixels = imread(path)
    height, width = (round(160 * size) for size in figure.get_size_inches()[::-1])
    assert np.abs(np.subtract(pixels.shape[:2], (height, width))).max() <= 1
    assert width >= 1200  # legible at the width of a page
    for ax in figure.axes:  # the threshold's line: its place, its colour, over most of the panel
        (line,) = ax.lines
        low, high = (ax.transAxes.transform((0, y))[1] for y in (0, 1))
        scale = 160 / figure.dpi
        column = int(scale * ax.transData.transform((0.03, 1e-9))[0])
        rows = slice(len(pixels) - int(scale * high), len(pixels) - int(scale * low))
        like = np.abs(pixels[rows, column - 2 : column + 3, :3] - to_rgb(line.get_color())).max(-1)
        assert (like.min(axis=1) < 0.15).mean() > 0.3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", lambda *_: 1 / 0)
        before = path.read_bytes()
        with pytest.raises(ZeroDivisionError):
            plots.save(figure, path)
        assert path.read_bytes() == before


@pytest.mark.parametrize("name", FIGURES)
def test_every_axis_says_what_it_shows(name):
    figure = figure_of(name)
    shared = {"score_histogram": "share of the class's beats in a bin"}.get(name)
    assert figure.axes
    for ax in figure.axes:
        spec = ax.get_subplotspec()
        assert ax.get_ylabel() or not spec.is_first_col() or shared in text_of(figure)
        assert ax.get_xlabel() or not spec.is_last_row()


def test_losses_stand_with_their_like():
    shown = panels(plots.loss_curves(EPOCHS))
    assert {title: list(curves(ax)) for title, ax in shown.items()} == {
        "Discriminator losses": ["D_real", "D_fake"],
        "Generator terms": ["reconstruction", "feature_matching", "kd_response"],
        "Gradient norms": ["reconstruction", "kd_response"],
        "Validation (oracle: needs labelled anomalies)": ["auc", "ap"],
        "seconds": ["seconds"],
        "selected": ["selected"],
    }
    x, y = curves(shown["Discriminator losses"])["D_real"]
    np.testing.assert_array_equal(x, [1, 2, 3])
    np.testing.assert_allclose(y, [0.3, 0.15, 0.1])
    assert shown["Generator terms"].get_yscale() == "log"


def test_nested_keys_are_those_with_a_slash():
    rows = [{"epoch": 1, "grad_norm": {"kd_response": 2.0}, "losses": {"D_real": 0.5}}]
    shown = panels(plots.loss_curves(rows))
    assert list(curves(shown["Gradient norms"])) == ["kd_response"]
    assert list(curves(shown["Discriminator losses"])) == ["D_real"]


def test_a_key_that_comes_later_leaves_a_gap():
    ax = panels(plots.loss_curves([{"epoch": 1}, {"epoch": 2, "D_real": 0.5}]))
    np.testing.assert_array_equal(curves(ax["Discriminator losses"])["D_real"][1], [np.nan, 0.5])


def test_a_term_that_is_zero_throughout_is_named_on_the_logarithmic_axis():
    rows = [{"epoch": e, "kd_feature": 0.0, "D_real": 0.0, "D_fake": e} for e in (1, 2)]
    figure = plots.loss_curves(rows)
    assert {"kd_feature (0)", "D_real (0)", "D_fake"} <= set(text_of(figure))
    figure.draw_without_rendering()  # a logarithm of zero would warn


@pytest.mark.parametrize("rows", [[], [{"D_real": 1.0}], [{"epoch": None}]])
def test_loss_curves_need_epochs(rows):
    with pytest.raises(ValueError, match="epoch"):
        plots.loss_curves(rows)


def test_areas_beside_their_chance():
    # The hand-worked example of test_metrics.py: AUC 3/4, AP 5/6, half of the beats abnormal.
    figure = plots.roc_pr(np.array([False, True, False, True]), np.array([1.0, 2.0, 3.0, 4.0]))
    expected = {"AUC 0.7500", "AP 0.8333", "AUC 0.5", "AP 0.5000"}
    assert {text.split(", ")[1] for text in text_of(figure) if ", A" in text} == expected


def test_the_histogram_shows_the_classes_that_are_there():
    label, score = some_scores()
    figure = plots.score_histogram(label, score, {"5 %": 0.03, "0.1 %": None}, classes=CLASSES)
    text = text_of(figure)
    assert [t for t in text if "beat" in t and t[1] == ":"] == [
        "N: 300 beats",
        "S: 60 beats",
        "V: 80 beats",
        "Q: 3 beats",
    ]
    assert "5 %" in text
    assert "0.1 %" not in text  # no threshold, no line
    for ax in figure.axes:
        assert [line.get_xdata()[0] for line in ax.lines] == [0.03]


def test_every_beat_is_in_the_histogram():
    label, score = some_scores()
    axes = plots.score_histogram(label, score, {}, classes=CLASSES).axes
    assert all(ax.patches for ax in axes)
    for ax in axes:
        for steps in ax.patches:
            assert steps.get_data().values.sum() == pytest.approx(1)


@pytest.mark.parametrize("score", [[0.0, 0.1, 0.2], [-1.0, 0.0, 1.0], [0.5, 0.5, 0.5]])
def test_the_histogram_takes_any_finite_scores(score):
    figure = plots.score_histogram(np.array([0, 0, 1]), np.array(score), {}, classes=CLASSES)
    figure.draw_without_rendering()
    assert figure.axes
    for ax in figure.axes:
        assert ax.patches[0].get_data().values.sum() == pytest.approx(1)


@pytest.mark.parametrize(("leads", "n"), [(1, 12), (2, 12), (1, 3)])
def test_the_best_and_the_worst_beats(leads, n):
    figure = plots.beats(**some_beats(leads, n))
    # Errors grow with the index, record r<i> holds beat i at 10 i seconds.
    titles = [ax.get_title(loc="left").split("\n")[0] for ax in figure.axes]
    shown = [title for title in titles if title]
    each = min(4, n)
    order = [*range(each), *range(n - 1, n - 1 - each, -1)]
    assert shown == [f"{CLASSES[i % 5]}, record r{i}, 0:{10 * i:04.1f}" for i in order if i < 6] + [
        f"{CLASSES[i % 5]}, record r{i}, 1:{10 * i - 60:04.1f}" for i in order if i >= 6
    ]
    waves = [ax for ax in figure.axes if ax.lines]
    assert all(len(ax.lines) == 2 * leads for ax in waves)


def test_only_plots_imports_matplotlib_and_not_its_global_state():
    package = Path(plots.__file__).parents[1]
    importing = {
        source.name: found
        for source in package.rglob("*.py")
        if (found := {n for n in imports(source) if n.split(".")[0] == "matplotlib"})
    }
    assert list(importing) == ["plots.py"]
    assert not any(name.startswith("matplotlib.pyplot") for name in importing["plots.py"])


def test_bars_name_everything_and_leave_out_what_has_no_value():
    figure = plots.bars({"kB": {"teacher": 400.0, "student": 30.0}, "AUC": {"teacher": 0.9}})
    sizes, aucs = figure.axes
    assert [bar.get_width() for bar in sizes.patches] == [400.0, 30.0]
    assert [text.get_text() for text in sizes.get_yticklabels()] == ["teacher", "student"]
    assert [text.get_text() for text in aucs.texts] == ["0.9", "–"]
    assert (sizes.get_xlabel(), aucs.get_xlabel()) == ("kB", "AUC")


def test_bars_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one value"):
        plots.bars({"kB": {}})
