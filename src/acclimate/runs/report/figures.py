"""The pictures of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acclimate.runs.report.drawing import CLASSES, colour, cut, picture, svg

Bounds = Sequence[float] | None
FEWEST = 10
"""Rows of a range of confidence that a line is drawn through."""
Point = tuple[str, float, Bounds, str]
"""Label, value, interval, and the colour."""


def difference(name: str, title: str, told: str, value: float, bounds: Sequence[float], mark: str) -> str:
    """A difference with its interval on a line, and where zero is."""
    with picture(58) as (figure, axes):
        low, high = min(bounds[0], value, 0.0), max(bounds[1], value, 0.0)
        room = (high - low) * 0.12 or 0.01
        axes.set(xlim=(low - room, high + room), ylim=(-1, 1), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.grid(False)
        axes.axvline(0, color=colour("muted"), linewidth=1.2, linestyle=(0, (3, 2)))
        axes.plot(bounds, [0, 0], color=colour(mark), linewidth=5, solid_capstyle="round", alpha=0.45)
        axes.plot([value], [0], "o", color=colour(mark), markersize=9)
        axes.xaxis.set_major_formatter(_signed)
        axes.locator_params(axis="x", nbins=5)
        return svg(figure, name, title, told)


def scatter(name: str, title: str, told: str, groups: Sequence[tuple[str, Sequence[Sequence[float]], str, str]]) -> str:
    """Points in the plane by group; ``groups`` are label, points, colour and marker, and are drawn in turn.

    What reaches far out would press the rest together: the axes show the middle 98 % of the points, and a margin.
    """
    import numpy as np

    with picture(290) as (figure, axes):
        every = np.concatenate([np.asarray(points, dtype=float) for _, points, _, _ in groups if len(points)])
        low, high = np.quantile(every, [0.01, 0.99], axis=0)
        room = np.maximum(high - low, 1e-6) * 0.12
        axes.set(xlim=(low[0] - room[0], high[0] + room[0]), ylim=(low[1] - room[1], high[1] + room[1]))
        axes.set(xticks=[], yticks=[])
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        for label, points, shade, marker in groups:
            if len(points):
                x, y = np.asarray(points, dtype=float).T
                ring = marker == "o"
                style = {"markerfacecolor": "none", "markeredgewidth": 1.0} if ring else {"markeredgewidth": 0}
                size = 4 if ring else 6
                axes.plot(x, y, marker, color=colour(shade), markersize=size, alpha=0.6, label=cut(label), **style)
        count = len(groups)
        figure.legend(
            loc="outside upper left", ncols=min(count, 5), handletextpad=0.2, columnspacing=1.2, markerscale=1.7
        )
        return svg(figure, name, title, told)


def dots(name: str, title: str, told: str, label: str, points: Sequence[Point], line: float | None = None) -> str:
    """Values with their intervals, one under the other; ``line`` is a value that all are to be held against."""
    with picture(50 + 23 * len(points)) as (figure, axes):
        for row, (_, value, bounds, shade) in enumerate(points):
            if bounds is not None:
                axes.plot(bounds, [row, row], color=colour(shade), linewidth=4, alpha=0.4, solid_capstyle="round")
            axes.plot([value], [row], "o", color=colour(shade), markersize=7)
        if line is not None:
            axes.axvline(line, color=colour("muted"), linewidth=1, linestyle=(0, (3, 2)))
        axes.set(yticks=range(len(points)), yticklabels=[cut(point[0]) for point in points], xlabel=label)
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.tick_params(axis="y", labelcolor=colour("ink"))
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        _ruled(axes)
        return svg(figure, name, title, told)


def bars(
    name: str,
    title: str,
    told: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[float | None], Sequence[Bounds], str]],
    label: str = "",
) -> str:
    """Bars for each label, one of each series beside the other, with intervals where there are some."""
    thick = 0.8 / len(series)
    with picture(58 + (14 * len(series) + 9) * len(labels)) as (figure, axes):
        for number, (called, values, bounds, shade) in enumerate(series):
            rows = [k - 0.4 + thick * (number + 0.5) for k in range(len(labels))]
            held = [value or 0.0 for value in values]
            axes.barh(rows, held, thick * 0.86, color=colour(shade), alpha=0.75, label=cut(called, 26))
            for row, bound in zip(rows, bounds, strict=True):
                if bound is not None:
                    axes.plot(bound, [row, row], color=colour("ink"), linewidth=1.2)
        axes.set(yticks=range(len(labels)), yticklabels=[cut(text) for text in labels], xlabel=label)
        axes.set_ylim(len(labels) - 0.45, -0.55)
        axes.tick_params(axis="y", labelcolor=colour("ink"))
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        _ruled(axes)
        if len(series) > 1:
            figure.legend(loc="outside upper left", ncols=2, handlelength=1.0, handleheight=0.9)
        return svg(figure, name, title, told)


def reliability(
    name: str, title: str, told: str, labels: tuple[str, str], series: Sequence[tuple[str, Mapping[str, Any], str]]
) -> str:
    """Accuracy by confidence, and the diagonal on which a calibrated model lies; dots are as large as their rows."""
    with picture(300) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=colour("muted"), linewidth=1, linestyle=(0, (3, 2)))
        for called, found, shade in series:
            rows = [row for row in found["bins"] if row["rows"]]
            x, y = ([row[key] for row in rows] for key in ("confidence", "accuracy"))
            many = [row for row in rows if row["rows"] >= FEWEST]  # an accuracy of a few rows would draw a zigzag
            axes.plot(
                *([row[key] for row in many] for key in ("confidence", "accuracy")), color=colour(shade), alpha=0.6
            )
            sizes = [12 + 150 * row["rows"] / max(found["rows"], 1) for row in rows]
            axes.scatter(x, y, sizes, color=colour(shade), linewidths=0, label=cut(called, 40), zorder=3, clip_on=False)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), xlabel=labels[0], ylabel=labels[1])
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        legend = figure.legend(loc="outside upper left", ncols=1, handletextpad=0.3)
        for handle in legend.legend_handles:
            handle.set_sizes([40])
        return svg(figure, name, title, told)


def lines(name: str, title: str, told: str, figure_of: Mapping[str, Any]) -> str:
    """The generic figure of a section: ``lines`` or ``scatter``."""
    with picture(260) as (figure, axes):
        for number, series in enumerate(figure_of["series"]):
            shade = colour(CLASSES[number % len(CLASSES)])
            whole = [k for k, (x, y) in enumerate(zip(series["x"], series["y"], strict=True)) if None not in (x, y)]
            x, y = ([series[key][k] for k in whole] for key in ("x", "y"))
            style = "o-" if figure_of["kind"] == "lines" else "o"
            axes.plot(x, y, style, color=shade, markersize=4.5, markeredgewidth=0, label=cut(series["name"], 26))
            if series.get("low") and series.get("high"):
                low, high = ([series[key][k] for k in whole] for key in ("low", "high"))
                spread = [(a, b, c) for a, b, c in zip(x, low, high, strict=True) if None not in (b, c)]
                if spread:
                    axes.fill_between(*zip(*spread, strict=True), color=shade, alpha=0.2, linewidth=0)
        if figure_of.get("diagonal"):
            axes.axline((0, 0), slope=1, color=colour("muted"), linewidth=1, linestyle=(0, (3, 2)))
        axes.set(xlabel=figure_of.get("x_label", ""), ylabel=figure_of.get("y_label", ""))
        axes.locator_params(nbins=5)
        if any(series["name"] for series in figure_of["series"]):
            figure.legend(loc="outside upper left", ncols=2, handlelength=1.4)
        return svg(figure, name, title, told)


def heatmap(name: str, title: str, told: str, figure_of: Mapping[str, Any]) -> str:
    """The generic figure of a section: a number for each row and column, the darker the higher."""
    values, rows, columns = figure_of["values"], figure_of["rows"], figure_of["columns"]
    there = [value for line in values for value in line if value is not None]
    low, high = (min(there), max(there)) if there else (0.0, 1.0)
    with picture(50 + 28 * len(rows)) as (figure, axes):
        for r, line in enumerate(values):
            for c, value in enumerate(line):
                if value is not None:
                    share = (value - low) / (high - low) if high > low else 0.5
                    axes.fill(
                        [c, c + 1, c + 1, c], [r, r, r + 1, r + 1], color=colour("accent"), alpha=0.06 + 0.4 * share
                    )
                    axes.text(c + 0.5, r + 0.5, f"{value:.3g}", ha="center", va="center", color=colour("ink"))
        axes.set(xticks=[c + 0.5 for c in range(len(columns))], yticks=[r + 0.5 for r in range(len(rows))])
        axes.set(xticklabels=[cut(text, 12) for text in columns], yticklabels=[cut(text) for text in rows])
        axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
        axes.grid(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        return svg(figure, name, title, told)


def _ruled(axes: Any) -> None:
    """At most six marks along, with numbers as they stand in the text."""
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}".replace("-", "\N{MINUS SIGN}"))


def _signed(value: float, _place: int) -> str:
    return "0" if abs(value) < 1e-12 else f"{value:+.3g}".replace("-", "\N{MINUS SIGN}")
