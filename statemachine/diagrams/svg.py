"""The state diagram as an SVG that needs nothing else: no script, no font, and it follows the reader's light or dark theme."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from statemachine.diagrams.layout import CHAR, Box, Label, Line, Picture, Point, lay_out
from statemachine.states import State
from statemachine.table import Row, Slot

_LEADING, _MARGIN, _BEND = 19, 24, 7
_STYLE = """
text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328 }
.card { fill: #ffffff }
.box { fill: #eef4fd; stroke: #4a7dc0; stroke-width: 1.5 }
.end { fill: #f2f3f5; stroke: #6b7480 }
.succeeded { fill: #e7f6ec; stroke: #2f8f4e }
.failed { fill: #fdecec; stroke: #c64a4a }
.timed_out { fill: #fdf3e0; stroke: #b67a1d }
.inner { fill: none; stroke-width: 1 }
.name { font-size: 13px; font-weight: 600; text-anchor: middle }
.line { fill: none; stroke: #59636e; stroke-width: 1.5 }
.head, .dot { fill: #59636e }
.line.fail { stroke: #c64a4a }
.head.fail, text.fail { fill: #c64a4a }
.guard { fill: #59636e }
.arriving { text-anchor: end }
.key { font-weight: 600 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.card { fill: #0d1117 }
.box { fill: #16263d; stroke: #6ea3e6 }
.end { fill: #21262d; stroke: #9aa4af }
.succeeded { fill: #12301d; stroke: #4fbf73 }
.failed { fill: #3a1a1c; stroke: #f07878 }
.timed_out { fill: #35260d; stroke: #e0a64a }
.inner { fill: none }
.line { fill: none; stroke: #9aa4af }
.head, .dot { fill: #9aa4af }
.line.fail { stroke: #f07878 }
.head.fail, text.fail { fill: #f07878 }
.guard { fill: #9aa4af }
}
"""


def state_picture(table: Sequence[Row], initial: State) -> str:
    """Boxes for states, doubled where they are terminal; a line for each row; below, what the slots do."""
    picture, notes = lay_out(table, initial), _notes(table)
    sources = {row.source for row in table}
    indent = max(len(key) for key, _ in notes) + 2
    width = max(picture.width, max(indent + len(text) for _, text in notes) * CHAR + 2 * _MARGIN)
    size = f"{width:g}", f"{picture.height + _LEADING * len(notes) + _MARGIN:g}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}">',
            f"<title>States of a task</title><style>{_STYLE}</style>",
            f'<rect class="card" width="{size[0]}" height="{size[1]}" rx="8"/>',
            *map(_line, picture.lines),
            *_start(picture),
            *(_box(box, terminal=box.state not in sources) for box in picture.boxes),
            *map(_label, picture.labels),
            *(_note(note, indent, picture.height + _LEADING * (index + 0.5)) for index, note in enumerate(notes)),
            "</svg>\n",
        ]
    )


def _line(line: Line) -> str:
    title = f"<title>{line.source} → {line.dest} on {line.trigger}</title>"
    return f'<g>{title}<path class="line {line.trigger}" d="{_path(line.points)}"/>{_head(line.points[-1], line.trigger)}</g>'


def _head(point: Point, kind: str) -> str:
    x, y = point
    return f'<path class="head {kind}" d="M{x:g} {y:g}l-9 -4.5v9z"/>'


def _path(points: Sequence[Point]) -> str:
    """Straight lines with the corners rounded off; the last one ends inside its arrow head."""
    inner = [_corner(*corner) for corner in zip(points, points[1:], points[2:], strict=False)]
    (x0, y0), (x1, y1) = points[0], points[-1]
    return " ".join([f"M{x0:g} {y0:g}", *inner, f"L{x1 - 6:g} {y1:g}"])


def _corner(before: Point, corner: Point, after: Point) -> str:
    (x0, y0), (x1, y1) = _towards(corner, before), _towards(corner, after)
    return f"L{x0:g} {y0:g}Q{corner[0]:g} {corner[1]:g} {x1:g} {y1:g}"


def _towards(start: Point, end: Point) -> Point:
    """A bit along a horizontal or vertical line, never past its middle."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = abs(dx) + abs(dy) or 1
    part = min(_BEND, length / 2) / length
    return start[0] + dx * part, start[1] + dy * part


def _start(picture: Picture) -> list[str]:
    (x0, y0), (x1, y1) = picture.start
    return [
        f'<circle class="dot" cx="{x0:g}" cy="{y0:g}" r="6"/>',
        f'<path class="line" d="M{x0:g} {y0:g}L{x1 - 6:g} {y1:g}"/>{_head((x1, y1), "")}',
    ]


def _box(box: Box, *, terminal: bool) -> str:
    kind = f"box end {box.state}" if terminal else f"box {box.state}"
    inner = _rectangle(box, f"{kind} inner", 4) if terminal else ""
    name = f'<text class="name" x="{box.x + box.width / 2:g}" y="{box.middle + 4.5:g}">{escape(box.state)}</text>'
    return f"<g>{_rectangle(box, kind, 0)}{inner}{name}</g>"


def _rectangle(box: Box, kind: str, inset: float) -> str:
    return (
        f'<rect class="{kind}" x="{box.x + inset:g}" y="{box.y + inset:g}" width="{box.width - 2 * inset:g}" '
        f'height="{box.height - 2 * inset:g}" rx="{9 - inset:g}"/>'
    )


def _label(label: Label) -> str:
    kind = label.net.trigger if label.text == label.net.trigger else "guard"
    side = "" if label.follow else " arriving"
    return f'<text class="{kind}{side}" x="{label.x:g}" y="{label.y:g}">{escape(label.text)}</text>'


def _note(note: tuple[str, str], indent: int, y: float) -> str:
    key, text = map(escape, note)
    return (
        f'<text class="key" x="{_MARGIN}" y="{y:g}">{key}</text><text x="{_MARGIN + indent * CHAR:g}" y="{y:g}">{text}</text>'
    )


def _notes(table: Sequence[Row]) -> list[tuple[str, str]]:
    """The slots of every row, and what each trigger works."""
    work = {row.trigger: row.work for row in table}
    before = ", ".join(dict.fromkeys(slot for row in table for slot in row.before))
    after = ", ".join(_where(table, slot) for slot in dict.fromkeys(slot for row in table for slot in row.after))
    return [
        *work.items(),
        ("before", f"{before}: may raise, then the state has not moved"),
        ("after", f"{after}: must not raise, the state has moved"),
    ]


def _where(table: Sequence[Row], slot: Slot) -> str:
    """A slot, and the states it runs in unless it runs in all that are entered."""
    entered = dict.fromkeys(row.dest for row in table)
    running = dict.fromkeys(row.dest for row in table if slot in row.after)
    return slot if running == entered else f"{slot} (in {', '.join(running)})"
