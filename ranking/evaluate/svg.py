"""Two kinds of plot as plain SVG text: points with intervals, and curves. No plotting library is needed for these."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 760, 130, 20, 64, 15

Point = tuple[str, float, float, float]  # series, low, middle, high


def dots(title: str, label: str, rows: Mapping[str, Sequence[Point]], zero: bool = False) -> str:
    """One block per row name, one line of it per series: the middle as a dot, low to high as a bar.

    `zero` draws a line at 0. Returns the SVG document.
    """
    series = list(dict.fromkeys(point[0] for points in rows.values() for point in points))
    values = [value for points in rows.values() for point in points for value in point[1:]] + ([0.0] if zero else [])
    ticks = _ticks(min(values), max(values))
    scale = _Scale(ticks[0], ticks[-1], _LEFT, _WIDTH - _RIGHT)
    height = _TOP + sum(_ROW * len(points) + 8 for points in rows.values())
    body = _frame_x(ticks, scale, height, label) + _legend(series)
    if zero:
        body.append(_line(scale(0.0), _TOP - 6, scale(0.0), height, "#000000"))
    y = float(_TOP)
    for name, points in rows.items():
        body.append(_text(_LEFT - 8, y + _ROW * len(points) / 2 + 4, name, "end"))
        for key, low, middle, high in points:
            colour, centre = _COLOURS[series.index(key) % len(_COLOURS)], y + _ROW / 2
            body.append(_line(scale(low), centre, scale(high), centre, colour, 2))
            body.append(f'<circle cx="{scale(middle):.1f}" cy="{centre:.1f}" r="3.5" fill="{colour}"/>')
            y += _ROW
        y += 8
    return _document(title, height + 44, body)


def curves(
    title: str,
    labels: tuple[str, str],
    series: Mapping[str, Sequence[tuple[float, float]]],
    diagonal: bool = False,
    bars: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> str:
    """Lines through (x, y); `bars` gives each point's (low, high). `diagonal` draws y = x. Returns the SVG document."""
    xs = [x for line in series.values() for x, _ in line]
    ys = [y for line in series.values() for _, y in line]
    ys += [value for pairs in (bars or {}).values() for pair in pairs for value in pair]
    if diagonal:
        xs = ys = xs + ys
    across, up = _ticks(min(xs), max(xs)), _ticks(min(ys), max(ys))
    height = _TOP + 380
    x_scale = _Scale(across[0], across[-1], _LEFT, _WIDTH - _RIGHT)
    y_scale = _Scale(up[0], up[-1], height, _TOP)
    body = _frame_x(across, x_scale, height, labels[0]) + _legend(list(series))
    for tick in up:
        body.append(_line(_LEFT, y_scale(tick), _WIDTH - _RIGHT, y_scale(tick), "#dddddd"))
        body.append(_text(_LEFT - 8, y_scale(tick) + 4, f"{tick:g}", "end"))
    body.append(_text(8, _TOP - 10, labels[1], "start"))
    if diagonal:
        low, high = max(across[0], up[0]), min(across[-1], up[-1])
        body.append(_line(x_scale(low), y_scale(low), x_scale(high), y_scale(high), "#999999"))
    for place, (name, line) in enumerate(series.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        path = " ".join(f"{x_scale(x):.1f},{y_scale(y):.1f}" for x, y in line)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for number, (x, y) in enumerate(line):
            body.append(f'<circle cx="{x_scale(x):.1f}" cy="{y_scale(y):.1f}" r="3.5" fill="{colour}"/>')
            if bars is not None and name in bars:
                low, high = bars[name][number]
                body.append(_line(x_scale(x), y_scale(low), x_scale(x), y_scale(high), colour))
    return _document(title, height + 44, body)


class _Scale:
    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._factor, self._start = low, (end - start) / (high - low), start

    def __call__(self, value: float) -> float:
        return self._start + (value - self._low) * self._factor


def _ticks(low: float, high: float, most: int = 9) -> list[float]:
    """Round numbers that enclose low and high."""
    wide = max(high - low, 1e-6)
    power = 10.0 ** np.floor(np.log10(wide / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if wide / (power * factor) <= most)
    first, last = int(np.floor(low / step)), int(np.ceil(high / step))
    return [round(place * step, 10) for place in range(first, max(last, first + 1) + 1)]


def _frame_x(ticks: Sequence[float], scale: _Scale, height: float, label: str) -> list[str]:
    lines = [_line(scale(tick), _TOP - 6, scale(tick), height, "#dddddd") for tick in ticks]
    lines += [_text(scale(tick), height + 16, f"{tick:g}", "middle") for tick in ticks]
    return [*lines, _text((_LEFT + _WIDTH) / 2, height + 36, label, "middle")]


def _legend(series: Sequence[str]) -> list[str]:
    parts, x = [], float(_LEFT)
    for place, name in enumerate(series):
        parts.append(f'<circle cx="{x:.1f}" cy="40" r="4" fill="{_COLOURS[place % len(_COLOURS)]}"/>')
        parts.append(_text(x + 9, 44, name, "start"))
        x += 26 + 7 * len(name)
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int = 1) -> str:
    places = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {places} stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _document(title: str, height: float, body: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {_WIDTH} {height:.0f}" font-family="sans-serif" role="img">'
    )
    ground = f'<title>{escape(title)}</title><rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join([head, ground, _text(_WIDTH / 2, 20, title, "middle", 15), *body, "</svg>"]) + "\n"
