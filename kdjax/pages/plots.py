"""Figures of a run. The only module that imports matplotlib, and never its global state.

Each function returns a `matplotlib.figure.Figure`; `save` writes one as PNG. Colours are those of
Okabe & Ito (2008), told apart by people with any common colour blindness; where more than colour
is needed, line styles repeat the distinction.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from sklearn.metrics import precision_recall_curve, roc_curve

from kdjax.files import write_bytes
from kdjax.scores import metrics

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK, GREY = "#CC79A7", "#56B4E9", "#000000", "#8A8A8A"
CYCLE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
_DASHES = ("-", "--", ":", "-.")
MARKS = ("--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
_DPI = 160


def save(figure: Figure, path: Path | str) -> Path:
    """Writes the figure as PNG, whole or not at all; makes missing folders, returns the path."""
    path = Path(path)
    write_bytes(path, png(figure))
    return path


def png(figure: Figure) -> bytes:
    """The figure as PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI)
    return content.getvalue()


def loss_curves(rows: Sequence[Mapping]) -> Figure:
    """Every number in metrics.jsonl over the epochs, like with like.

    Keys may be nested: `{"grad_norm": {"reconstruction": 1}}` is `grad_norm/reconstruction`. There
    is a panel for discriminator losses (`D_…`), generator terms (`reconstruction`,
    `feature_matching`, `adversarial`, `kd_…`, `G_…`), gradient norms (`grad_norm/…`), validation
    (`val_auc`, `val_ap`, `val_f1`; oracle), and one for each other key.

    Args:
        rows: one mapping an epoch with a number under "epoch"; other keys may come and go.
            ValueError without rows or without "epoch".
    """
    table = [dict(_numbers(row)) for row in rows]
    if not table or not all("epoch" in row for row in table):
        raise ValueError('loss curves need at least one row, each with a number under "epoch"')
    epoch = np.array([row["epoch"] for row in table])
    names = list(dict.fromkeys(name for row in table for name in row if name != "epoch"))
    panels: dict[str, list[str]] = {title: [] for title, *_ in _PANELS}
    for name in names:
        panels.setdefault(_panel(name), []).append(name)
    panels = {title: members for title, members in panels.items() if members}

    figure, axes = grid(math.ceil(len(panels) / 2), 2, width=9.6, row_height=3.1)
    units = {title: (unit, scale) for title, _, unit, scale in _PANELS}
    for ax, (title, members) in zip(axes.flat, panels.items(), strict=False):
        unit, scale = units.get(title, (_UNITS.get(title, title), "linear"))
        _title(ax, title)
        for i, name in enumerate(members):
            value = np.array([row.get(name, np.nan) for row in table])
            _draw_curve(ax, epoch, value, number=i, name=name, scale=scale)
        if scale == "log":
            _log_axis(ax)
        ax.set(xlabel="epoch", ylabel=unit)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if title in units:
            ax.legend(
                loc="upper center",
                bbox_to_anchor=(0.5, -0.2),
                ncols=3,
                fontsize=8.5,
                frameon=False,
                columnspacing=1.2,
                handlelength=1.6,
            )
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    return figure


def _draw_curve(
    ax: Axes, epoch: np.ndarray, value: np.ndarray, *, number: int, name: str, scale: str
) -> None:
    """The panel's curve of that number."""
    note = ""
    if scale == "log" and not (value > 0).any():
        value, note = np.full(len(value), np.nan), " (0)"  # no place on a logarithmic axis
    ax.plot(
        epoch,
        value,
        color=CYCLE[number % len(CYCLE)],
        linestyle=_DASHES[number // len(CYCLE) % len(_DASHES)],
        marker="o" if len(value) <= 25 else None,
        markersize=3,
        label=_short(name) + note,
    )


def roc_pr(abnormal: np.ndarray, score: np.ndarray, unit: str = "beat") -> Figure:
    """ROC and precision-recall curves with their areas and what chance reaches.

    Args:
        abnormal: bool [B].
        score: float [B], higher is more abnormal.
        unit: what one of them is called.
    """
    area, ap = metrics.auc(abnormal, score), metrics.average_precision(abnormal, score)
    figure, axes = grid(1, 2, width=9.6, row_height=4.6)
    roc, pr = axes.flat
    fpr, tpr, _ = roc_curve(abnormal, score)
    roc.plot(fpr, tpr, color=BLUE, label=f"scores, AUC {area:.4f}")
    roc.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="chance, AUC 0.5")
    roc.set(xlabel=f"false positive rate (share of normal {unit}s)")
    roc.set(ylabel=f"recall (share of abnormal {unit}s)")
    _title(roc, "ROC")
    precision, recall, _ = precision_recall_curve(abnormal, score)
    share = float(np.mean(abnormal))
    pr.plot(recall, precision, color=BLUE, label=f"scores, AP {ap:.4f}", drawstyle="steps-pre")
    pr.axhline(share, color=GREY, linestyle="--", label=f"chance, AP {share:.4f}")
    pr.set(xlabel=f"recall (share of abnormal {unit}s)")
    pr.set(ylabel=f"precision (share of flagged {unit}s)")
    _title(pr, "Precision and recall")
    for ax in (roc, pr):
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        side = "lower right" if ax is roc else "lower left"
        ax.legend(loc=side, fontsize=8.5, framealpha=0.85, edgecolor="none")
    return figure


def score_histogram(
    label: np.ndarray,
    score: np.ndarray,
    thresholds: Mapping[str, float | None],
    *,
    classes: Sequence[str],
    unit: str = "beat",
) -> Figure:
    """How the scores of each class are spread, one row a class, the normal class behind the others.

    Heights are logarithmic, so that a few beats stay visible; so are scores if all are positive.

    Args:
        label: int [B], index into `classes`.
        score: float [B].
        thresholds: name -> score, drawn as lines; None (no threshold) is left out.
        classes: names; the first is the normal one.
        unit: what one of them is called.
    """
    label, score = np.asarray(label), np.asarray(score, np.float64)
    present = [i for i in range(len(classes)) if (label == i).any()]
    logarithmic = bool((score > 0).all())
    low, high = float(score.min()), float(score.max())
    if low == high:
        low, high = (low / 2, high * 2) if logarithmic else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, 61) if logarithmic else np.linspace(low, high, 61)
    edges[0], edges[-1] = low, high  # geomspace may round the ends inwards

    figure, axes = grid(len(present), 1, width=9.6, row_height=1.35, sharex=True, sharey=True)
    for ax, index in zip(axes.flat, present, strict=True):
        share = _shares(score[label == index], edges)
        colour = CYCLE[index % len(CYCLE)]
        ax.stairs(share, edges, fill=True, color=colour, alpha=0.55, baseline=1e-9)
        if index and 0 in present:
            normal = f"{classes[0]} again, as outline"
            ax.stairs(_shares(score[label == 0], edges), edges, color=BLUE, label=normal)
        count = int((label == index).sum())
        text = f"{classes[index]}: {count:,} {unit}{'s' if count > 1 else ''}"
        ax.text(0.01, 0.93, text, transform=ax.transAxes, va="top", weight="bold")
        lines = [(name, value) for name, value in thresholds.items() if value is not None]
        for i, (name, value) in enumerate(lines):
            ax.axvline(value, color=BLACK, linestyle=MARKS[i % len(MARKS)], label=name)
        ax.set(yscale="log")
    smallest = 1 / max(int((label == i).sum()) for i in present)
    axes.flat[0].set(ylim=(smallest / 1.5, 1.5), xscale="log" if logarithmic else "linear")
    axes.flat[-1].set(xlabel=f"score (mean squared error of the {unit}, scaled units²)")
    figure.supylabel(f"share of the class's {unit}s in a bin", fontsize=9)
    handles, names = axes.flat[-1].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper center", ncols=4, frameon=False)
    return figure


def beats(
    x: np.ndarray,
    x_hat: np.ndarray,
    score: np.ndarray,
    *,
    label: np.ndarray,
    record: np.ndarray,
    sample: np.ndarray,
    fs: float | None,
    classes: Sequence[str],
    count: int = 4,
) -> Figure:
    """The beats with the lowest and the highest scores, with reconstruction and squared error.

    Leads stand below each other; the error is the mean over leads, on one scale within a row.

    Args:
        x: float [B, T, C], scaled beats.
        x_hat: float [B, T, C], their reconstructions.
        score: float [B].
        label: int [B], index into `classes`.
        record: str [B].
        sample: int [B], centre of the beat in its record; float [B], time of the window.
        fs: sampling frequency in Hz; None for windows that are no beats and may be at any rate.
        classes: names of the classes.
        count: beats in a row, fewer where there are not as many.
    """
    order = np.argsort(score, kind="stable")
    count = min(count, len(order))
    rows = (("lowest scores", order[:count]), ("highest scores", order[::-1][:count]))
    time = np.arange(x.shape[1]) / (fs or 1)
    unit = "beat" if fs else "window"
    figure = Figure(figsize=(max(2.4 * count, 4.8), 7.2), layout="constrained")
    halves = figure.add_gridspec(2, 1)
    for half, (name, chosen) in zip((halves[0], halves[1]), rows, strict=True):
        part = figure.add_subfigure(half)
        part.suptitle(f"{unit.capitalize()}s with the {name}", fontsize=11, weight="bold")
        axes = part.subplots(
            2, count, sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1)
        )
        for (wave, error), i in zip(axes.T, chosen, strict=True):
            _draw_leads(wave, time, x=x[i], x_hat=x_hat[i], unit=unit)
            squared = np.mean((x[i] - x_hat[i]) ** 2, axis=-1)
            error.fill_between(time, squared, color=BLUE, alpha=0.6, linewidth=0)
            _title(
                wave,
                f"{_title_of(classes[int(label[i])], str(record[i]), float(sample[i]), fs=fs)}\n"
                f"score {float(score[i]):.4g}",
            )
            error.set(xlabel="time in window (s)" if fs else "sample of the window")
            for ax in (wave, error):
                _soften(ax)
        axes[1, 0].set_ylim(bottom=0)
        axes[0, 0].set_ylabel(f"scaled {'ECG' if fs else unit}\n(no unit)")
        axes[1, 0].set_ylabel("squared\nerror")
        part.align_ylabels(list(axes[:, 0]))
    handles, names = figure.subfigs[0].axes[0].get_legend_handles_labels()
    figure.legend(handles[:2], names[:2], loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw_leads(ax: Axes, time: np.ndarray, *, x: np.ndarray, x_hat: np.ndarray, unit: str) -> None:
    """A beat [T, C] and its reconstruction, its leads below each other."""
    for lead in range(x.shape[1]):
        shift = -2.4 * lead
        ax.plot(time, x[:, lead] + shift, color=BLACK, linewidth=1.2, label=unit)
        ax.plot(
            time,
            x_hat[:, lead] + shift,
            color=VERMILION,
            linewidth=1.4,
            linestyle=(0, (4, 1.5)),
            label="reconstruction",
        )


def _title_of(name: str, record: str, sample: float, *, fs: float | None) -> str:
    """The class of a beat or a window and where it is from, in lines that fit above it."""
    if fs is None:
        return f"{_clipped(name, 20)}\n{_clipped(record, 10)}, time {sample:.4g}"
    minutes, seconds = divmod(sample / fs, 60)
    return f"{name}, record {_clipped(record, 8)}, {int(minutes)}:{seconds:04.1f}"


def _clipped(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def bars(panels: Mapping[str, Mapping[str, float]]) -> Figure:
    """Quantities of several things side by side: a panel a quantity, a bar a thing.

    Args:
        panels: quantity with its unit -> name -> value; what lacks a value has no bar.
            ValueError when there is nothing to show.
    """
    names = list(dict.fromkeys(name for values in panels.values() for name in values))
    if not names:
        raise ValueError("bars need at least one value")
    figure, axes = grid(math.ceil(len(panels) / 2), 2, width=9.6, row_height=1 + 0.4 * len(names))
    for ax, (title, values) in zip(axes.flat, panels.items(), strict=False):
        for i, name in enumerate(names):
            value = values.get(name)
            drawn = ax.barh(i, value or 0, color=CYCLE[i % len(CYCLE)])
            ax.bar_label(drawn, ["–" if value is None else f"{value:.4g}"], padding=3, fontsize=8)
        ax.set_yticks(range(len(names)), names, fontsize=8)
        ax.invert_yaxis()
        ax.margins(x=0.2)
        ax.set_xlabel(title)
    for ax in list(axes.flat)[len(panels) :]:
        ax.remove()
    return figure


# Title, the keys that belong there, label of the y axis, its scale.
_PANELS = (
    ("Discriminator losses", re.compile(r"(.*/)?D_\w+"), "binary cross-entropy (nat)", "log"),
    (
        "Generator terms",
        re.compile(
            r"(?!grad_norm|val_)(.*/)?(reconstruction|feature_matching|adversarial|(kd|G)_\w+)"
        ),
        "loss (scaled units)",
        "log",
    ),
    ("Gradient norms", re.compile(r"grad_norm\W.*"), "L2 norm of the gradient", "log"),
    (
        "Validation (oracle: needs labelled anomalies)",
        re.compile(r"val_(auc|ap|f1)\w*"),
        "area (0 to 1)",
        "linear",
    ),
)
_UNITS = {
    "seconds": "seconds an epoch",
    "selected": "share of the batch (0 to 1)",
    "learning_rate": "learning rate",
}


def _panel(name: str) -> str:
    return next((title for title, keys, *_ in _PANELS if keys.fullmatch(name)), name)


def _short(name: str) -> str:
    return re.sub(r"^(grad_norm\W|losses/|val_)", "", name)


def _numbers(row: Mapping, prefix: str = ""):
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, Real) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.histogram(values, edges)[0] / len(values)


def grid(rows: int, columns: int, width: float, *, row_height: float, **kwargs):
    """A figure of softened axes [rows, columns], in inches; the rest goes to `subplots`."""
    figure = Figure(figsize=(width, max(rows * row_height, 3.2)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **kwargs)
    for ax in axes.flat:
        _soften(ax)
    return figure, axes


def _log_axis(ax: Axes) -> None:
    """Plain numbers at 1, 2 and 5 within few decades, powers of ten over many."""
    ax.set_yscale("log", nonpositive="mask")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1000 else (1,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _soften(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)


def _title(ax: Axes, text: str) -> None:
    ax.set_title(text, fontsize=10, loc="left")
