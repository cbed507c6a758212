"""Figures that only the pages of results show, in the look of `kdjax.pages.plots`."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from kdjax.pages import plots


def differences(rows: Sequence[tuple[str, Mapping]], unit: str) -> Figure:
    """Paired differences with their intervals, one a line; 0 is drawn.

    Args:
        rows: name and {"mean", "ci95"}, from the top.
        unit: what the axis shows.
    """
    figure, axes = plots.grid(1, 1, width=7.2, row_height=1 + 0.32 * len(rows))
    ax = axes.flat[0]
    for y, (_, found) in enumerate(rows):
        low, high = found["ci95"]
        apart = low > 0 or high < 0
        colour = plots.VERMILION if apart else plots.BLUE
        ax.plot([low, high], [y, y], color=colour, linewidth=2)
        ax.plot(found["mean"], y, marker="D" if apart else "o", color=colour)
    ax.axvline(0, color=plots.BLACK, linestyle="--", linewidth=1)
    ax.set(yticks=range(len(rows)), yticklabels=[name for name, _ in rows], xlabel=unit)
    ax.locator_params(axis="x", nbins=6)  # long labels of small differences stay apart
    ax.invert_yaxis()
    return figure


def quality_cost(
    networks: Mapping[str, tuple[float, Mapping]], others: Mapping[str, float]
) -> Figure:
    """AUC with its interval over multiply-accumulates; what has none stands as a line.

    Args:
        networks: name -> (multiply-accumulates a beat, {"mean", "ci95"}).
        others: name -> AUC.
    """
    figure, axes = plots.grid(1, 1, width=7.8, row_height=4.6)
    ax = axes.flat[0]
    marks = "osD^vPX*"
    costs = [cost for cost, _ in networks.values()]
    for i, (name, (cost, found)) in enumerate(networks.items()):
        # Those of one size stand side by side.
        aside = 1.06 ** costs[:i].count(cost)
        below, above = found["mean"] - found["ci95"][0], found["ci95"][1] - found["mean"]
        ax.errorbar(
            cost * aside,
            found["mean"],
            [[below], [above]],
            marker=marks[i % len(marks)],
            color=plots.CYCLE[i % len(plots.CYCLE)],
            capsize=3,
            linestyle="",
            label=name,
        )
    for i, (name, value) in enumerate(others.items()):
        style = plots.MARKS[i % len(plots.MARKS)]
        ax.axhline(value, color=plots.GREY, linestyle=style, linewidth=1, label=name)
    ax.set(xscale="log", xlabel="multiply-accumulates a beat, millions", ylabel="AUC (0 to 1)")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 4)))
    ax.xaxis.set_major_formatter(lambda cost, _: f"{cost / 1e6:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(loc="outside right upper", frameon=False, fontsize=8.5)
    return figure
