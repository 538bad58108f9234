"""A picture as SVG for a page: colours of the page's own theme, text that stays text, a title and a description."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

WIDTH = 340.0
"""Of a picture in its own units: on a phone one of them is a pixel, and text of 10.5 can be read there."""
TEXT = 10.5
THEME = ("ink", "muted", "line", "source", "target", "good", "bad", "accent", *(f"class-{k}" for k in range(1, 11)))
"""What the page's style sheet calls its colours (``--ink``, ...)."""
CODES = {name: f"#fe01{number:02x}" for number, name in enumerate(THEME)}
"""Stand-ins that matplotlib writes and that no picture has otherwise."""
CLASSES = tuple(f"class-{k}" for k in range(1, 11))
"""Colours of classes, which also differ in brightness."""


def colour(name: str) -> str:
    """The stand-in of a colour of the page."""
    return CODES[name]


@contextmanager
def picture(height: float, columns: int = 1, rows: int = 1) -> Iterator[tuple[Any, Any]]:
    """A figure of the page's width and this height with plain axes, to be given to `svg` inside the block."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    plain: dict[Any, Any] = {
        **{"svg.fonttype": "none", "svg.hashsalt": "acclimate", "path.simplify": False, "font.size": TEXT},
        **{"font.family": ["DejaVu Sans"], "text.parse_math": False, "axes.unicode_minus": True},
        **{f"{what}.color": colour("muted") for what in ("xtick", "ytick", "text")},
        **{"axes.edgecolor": colour("line"), "axes.labelcolor": colour("muted"), "grid.color": colour("line")},
        **{"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True},
        **{"xtick.major.size": 0, "ytick.major.size": 0, "grid.linewidth": 0.8, "axes.linewidth": 0.8},
        **{"xtick.major.pad": 5, "ytick.major.pad": 5, "lines.linewidth": 1.8, "legend.frameon": False},
    }
    with warnings.catch_warnings(), matplotlib.rc_context(plain):
        warnings.simplefilter("ignore")  # a letter that the measuring font lacks is drawn by the reader's own
        room = ConstrainedLayoutEngine(w_pad=4 / 72, h_pad=4 / 72)
        figure = Figure(figsize=(WIDTH / 72, height / 72), layout=room)
        yield figure, figure.subplots(rows, columns)


def svg(figure: Any, name: str, title: str, description: str) -> str:
    """The figure as SVG that stands in HTML: with ids of its own, no size but a shape, and the page's colours.

    Args:
        figure: of matplotlib, made by `picture`.
        name: unique on the page; begins every id.
        title: what it is.
        description: what is to be seen on it, for whoever cannot see it.
    """
    name, held = f"figure-{name}", io.StringIO()
    figure.savefig(held, format="svg", transparent=True, metadata={"Date": None})
    text = held.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->|<style.*?</style>", "", text, flags=re.DOTALL)  # a style would be that of the whole page
    text = re.sub(r' id="((?:figure|axes|patch|text|line2d|matplotlib|xtick|ytick|PathColl|legend)[^"]*)"', "", text)
    text = re.sub(r'(\bid="|href="#|url\(#)([^")]+)', rf"\1{name}-\2", text)
    text = re.sub(r"(\d+\.\d\d)\d+", r"\1", text)
    for called, code in CODES.items():
        text = text.replace(code, f"var(--{called})")
    text = text.replace("font-family: 'DejaVu Sans'; ", "").replace(f"font-size: {TEXT}px; ", "")
    box = re.search(r'viewBox="([^"]+)"', text)
    inner = text[text.index(">") + 1 :]
    assert box is not None
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box[1]}" '
        f'role="img" aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>{_tight(inner)}'
    )


def _tight(text: str) -> str:
    """Without line breaks and indents, and with the style of many equal points said once."""
    text = re.sub(r">\s+<", "><", text)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r'(<g clip-path="[^"]*")>((?:<use [^>]*/>)+)</g>', _once, text)


def _once(found: re.Match[str]) -> str:
    styles = set(re.findall(r' style="([^"]*)"', found[2]))
    if len(styles) != 1:
        return found[0]
    return f'{found[1]} style="{styles.pop()}">' + re.sub(r' style="[^"]*"', "", found[2]) + "</g>"


def cut(text: str, longest: int = 18) -> str:
    """A label that has room in a picture; tables have it whole."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
