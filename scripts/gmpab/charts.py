"""Charts as SVG files that need nothing but themselves: matplotlib draws them."""

import importlib.util
import io
from pathlib import Path

from .model import NATIVE, SHIM, Comparison, Metric, show
from .peers import Row

# As in page/page.css. What is faint there is faint here.
COLOURS = {NATIVE: "#c2701c", SHIM: "#1f6fd6"}
PEER, INK, QUIET, RULE = "#1a7f45", "#1d2530", "#5f6b7a", "#dfe4ea"
ACROSS = 3  # curves side by side
STYLE = {
    "font.size": 9, "text.color": INK, "axes.labelcolor": QUIET,
    "axes.edgecolor": RULE, "xtick.color": QUIET, "ytick.color": QUIET,
    "axes.grid": True, "grid.color": RULE, "grid.linewidth": 0.6,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "svg.hashsalt": "gmp-ab",  # so that the same figures give the same file
}


def available() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def colour(side: str) -> str:
    return COLOURS.get(side, PEER)


def plots():
    """Only where something is drawn: it takes half a second."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    return pyplot


def save(figure, path: Path) -> None:
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight", facecolor="white",
                   metadata={"Date": None, "Creator": None})
    # Without the blanks at line ends that it leaves.
    path.write_text("".join(f"{line.rstrip()}\n" for line in out.getvalue().split("\n")))
    plots().close(figure)


def curves(c: Comparison, metrics: list[Metric], path: Path) -> None:
    """Each metric at each value of the sweep: medians as lines, quartiles as bands."""
    from .stats import Spread

    plt = plots()
    with plt.rc_context(STYLE):
        across = min(ACROSS, len(metrics))
        down = -(-len(metrics) // across)
        figure, axes = plt.subplots(
            down, across, figsize=(3.4 * across, 2.7 * down + 0.3), squeeze=False)
        for ax in axes.flat[len(metrics):]:
            ax.remove()
        for ax, m in zip(axes.flat, metrics):
            for side in c.sides:
                at = [(float(p.value), Spread.of(v)) for p in c.points
                      if (v := p.of(side, m.name))]
                if not at:
                    continue
                x = [value for value, _ in at]
                ax.plot(x, [s.median for _, s in at], marker="o", markersize=3,
                        color=colour(side), label=side)
                ax.fill_between(x, [s.low for _, s in at], [s.high for _, s in at],
                                color=colour(side), alpha=0.2, linewidth=0)
            scaled(ax, [v for p in c.points for s in c.sides for v in p.of(s, m.name)])
            ax.yaxis.set_major_formatter(lambda v, _, unit=m.unit: show(v, unit))
            ax.yaxis.set_minor_formatter(lambda *_: "")
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
            ax.set_xlabel(str(c.variable))
            ax.set_title(m.name, fontsize=9, loc="left")
        figure.suptitle(c.name, x=0.01, ha="left", fontsize=10)
        axes.flat[0].legend(frameon=False)
        figure.tight_layout()
        save(figure, path)


def scaled(ax, values: list[float]) -> None:
    """Logarithmic, unless something is 0 or less: memory that others gave back."""
    if values and min(values) > 0:
        ax.set_yscale("log")


def ratios(rows: list[Row], others: list[str], path: Path) -> bool:
    """A row a figure, a dot for the ratio to each other side, a line its interval."""
    drawn = [r for r in rows if any(d.ratio for d in r.ratios.values())]
    if not drawn:
        return False
    plt = plots()
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(8, 0.8 + 0.2 * len(drawn)))
        for side in others:
            at = [(i, d) for i, r in enumerate(drawn)
                  if (d := r.ratios.get(side)) and d.ratio]
            for i, d in at:
                if d.low is not None:
                    ax.plot([d.low, d.high], [i, i], color=colour(side), alpha=0.4,
                            linewidth=3, solid_capstyle="butt")
            ax.scatter([d.ratio for _, d in at], [i for i, _ in at], s=14,
                       color=colour(side), label=f"to {side}", zorder=3)
        ax.axvline(1, color=INK, linewidth=0.8)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
        ax.set_yticks(range(len(drawn)), [r.label for r in drawn])
        ax.set_ylim(len(drawn) - 0.5, -0.5)
        ax.set_xlabel("ratio; above 1 the shim is better")
        ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        save(figure, path)
    return True
