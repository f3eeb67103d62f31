"""The results as a picture: a panel for each of the main quantities, a bar for each runtime, its median at the end of the bar."""

import statistics
from xml.sax.saxutils import escape

from report import quantile

PANELS = [
    ("run docker", "wall", "run /bin/true, µs"),
    ("cycle docker", "all", "create, start, wait, delete, µs"),
    ("exec docker", "wall", "exec /bin/true, µs"),
    ("state docker", "wall", "state, µs"),
    ("together docker", "wall", "16 runs at once, µs"),
    ("run docker", "rss", "peak memory of run, KiB"),
]
COLUMNS, WIDTH, GAP = 2, 460, 24
NAMES, LABEL = 96, 64  # room for a runtime's name before its bar and for the number after it
BAR, STEP, TITLE = 12, 18, 26
OWN, OTHER, LINE, TEXT = "#b4541c", "#8a9aa8", "#55606a", "#222222"


def text(x, y, words, anchor="start", weight="normal"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'


def panel(x, y, title, numbers, own):
    """The panel's elements; `numbers` is {runtime: [number]}."""
    most = max(quantile(values, 0.9) for values in numbers.values())
    scale = (WIDTH - NAMES - LABEL) / most
    out = [text(x, y + 12, title, weight="bold")]
    for i, (name, values) in enumerate(numbers.items()):
        top = y + TITLE + i * STEP
        left, middle = x + NAMES, top + BAR / 2
        median, low, high = statistics.median(values), quantile(values, 0.1), quantile(values, 0.9)
        out.append(text(left - 6, top + BAR - 2, name, "end"))
        out.append(f'<rect x="{left}" y="{top}" width="{median * scale:.1f}" height="{BAR}" fill="{OWN if name == own else OTHER}"/>')
        out.append(f'<path d="M{left + low * scale:.1f} {middle}H{left + high * scale:.1f}" stroke="{LINE}" fill="none"/>')
        out.append(text(left + max(high, median) * scale + 5, top + BAR - 2, f"{median:,.0f}"))
    return out


def svg(results, names):
    panels = []
    for title, quantity, label in PANELS:
        found = results.get(title, {})
        numbers = {name: found[name][quantity] for name in names if found.get(name, {}).get(quantity)}
        if numbers:
            panels.append((label, numbers))
    height = TITLE + STEP * max(len(numbers) for _, numbers in panels) + GAP
    width = COLUMNS * (WIDTH + GAP) + GAP
    total = -(-len(panels) // COLUMNS) * height + GAP
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{total}" viewBox="0 0 {width} {total}"'
        f' font-family="sans-serif" font-size="12" fill="{TEXT}">',
        f'<rect width="{width}" height="{total}" fill="#ffffff"/>',
    ]
    for i, (label, numbers) in enumerate(panels):
        out += panel(GAP + i % COLUMNS * (WIDTH + GAP), GAP / 2 + i // COLUMNS * height, label, numbers, names[0])
    return "\n".join([*out, "</svg>", ""])
