"""Records `docs/terminal.svg`, the command on a folder of 20 photos: `python -m docs.record_terminal [URL]`.

Owns the pictures (drawn: beaches, each with its ball elsewhere), the run in a real terminal of 100 x 26
characters, and the SVG, which plays what was on the screen at the times at which it was there.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pyte
from PIL import Image

from docs.draw_photo import HEIGHT, WIDTH, add_ball, add_boat, beach

COLUMNS, ROWS = 100, 26
EVERY_S, MOST_FRAMES, HOLD_S = 0.25, 60, 6.0  # between frames, in all, and how long the last one stays
CELL_X, CELL_Y, EDGE = 8.4, 18, 16
TARGET = Path(__file__).with_name("terminal.svg")
COMMAND = ["tapcut", "remove", "photos/", "--points", "points.csv", "-o", "clean/"]
COLOURS = {
    "default": "#d8dee9",
    "red": "#ff7b72",
    "green": "#7ee787",
    "cyan": "#79c0ff",
    "magenta": "#d2a8ff",
}

Line = tuple[tuple[str, str, bool], ...]  # runs of one style: text, colour, dim or bold
Frame = tuple[float, tuple[Line, ...]]  # when it was there (s), and its lines


def draw_photos(folder: Path) -> None:
    """20 photos in `photos/`, and `points.csv` with a tap on each one's ball."""
    (folder / "photos").mkdir()
    rows = ["picture,x,y"]
    for number in range(1, 21):
        rng = np.random.default_rng(number)
        x, y, radius = rng.uniform(180, 640), rng.uniform(330, 440), rng.uniform(45, 75)
        picture = add_boat(beach(rng), rng.uniform(100, 700), 205) if number % 3 else beach(rng)
        picture = add_ball(picture, x, y, radius)
        name = f"beach-{number:02}.jpg"
        image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8), "RGB")
        image.resize((WIDTH, HEIGHT)).save(folder / "photos" / name, quality=92)
        rows.append(f"{name},{x:.0f},{y:.0f}")
    (folder / "points.csv").write_text("\n".join(rows))


def record(folder: Path, url: str) -> list[Frame]:
    """What the terminal shows while the command runs, in frames with their times.

    Raises:
        CalledProcessError: the command failed.
    """
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    running = subprocess.Popen(
        COMMAND,
        cwd=folder,
        env={**inherited, "PATH": beside, "TERM": "xterm-256color", "TAPCUT_URL": url},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(f"$ {' '.join(COMMAND)}\r\n".encode())
    start = last = time.monotonic()
    frames = [(0.0, lines_of(screen))]
    for data in _pieces(leader):
        stream.feed(data)
        if time.monotonic() - last >= EVERY_S:
            last = time.monotonic()
            frames.append((last - start, lines_of(screen)))
    frames.append((time.monotonic() - start, lines_of(screen)))
    if running.wait():
        raise subprocess.CalledProcessError(running.returncode, COMMAND, output="\n".join(screen.display))
    step = -(-len(frames) // MOST_FRAMES)
    return [*frames[:-1:step], frames[-1]]


def _pieces(leader: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:  # how Linux says that the other end is closed
            os.close(leader)
            return
        yield data


def lines_of(screen: pyte.Screen) -> tuple[Line, ...]:
    """The screen's lines in runs of one colour."""
    lines = []
    for row in range(ROWS):
        cells = [screen.buffer[row][column] for column in range(COLUMNS)]
        runs = [
            ("".join(cell.data for cell in group), colour, bold)
            for (colour, bold), group in groupby(cells, lambda cell: (cell.fg, cell.bold))
        ]
        lines.append(tuple(runs))
    return tuple(lines)


def svg_of(frames: list[Frame]) -> str:
    """The frames as one SVG that plays them in a loop; without animation it shows the last."""
    total = frames[-1][0] + HOLD_S
    width, height = COLUMNS * CELL_X + 2 * EDGE, ROWS * CELL_Y + 2 * EDGE + 22
    rules, groups = [], []
    for number, (begin, lines) in enumerate(frames):
        end = frames[number + 1][0] if number + 1 < len(frames) else total
        a, b = 100 * begin / total, 100 * end / total
        off = f"0%,{max(a - 0.001, 0):.3f}%{{opacity:0}}" if a > 0.001 else ""
        out = f"{b:.3f}%,100%{{opacity:0}}" if b < 99.999 else ""
        rules.append(f"@keyframes f{number}{{{off}{a:.3f}%,{max(b - 0.001, a):.3f}%{{opacity:1}}{out}}}")
        hidden = "" if number + 1 == len(frames) else "opacity:0;"
        rules.append(f"#f{number}{{{hidden}animation:f{number} {total:.2f}s step-end infinite}}")
        texts = "".join(
            _text(row, line) for row, line in enumerate(lines) if any(run[0].strip() for run in line)
        )
        groups.append(f'<g id="f{number}">{texts}</g>')
    dots = "".join(
        f'<circle cx="{20 + 18 * one}" cy="18" r="5.5" fill="{fill}"/>'
        for one, fill in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        'aria-label="tapcut removes the ball from 20 photos, with a bar for each picture in work">'
        "<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        f"white-space:pre}}{''.join(rules)}</style>"
        f'<rect width="100%" height="100%" rx="10" fill="#0d1117"/>{dots}{"".join(groups)}</svg>\n'
    )


def _text(row: int, line: Line) -> str:
    y, column, parts = EDGE + 34 + row * CELL_Y, 0, []
    for text, colour, bold in line:
        if text.strip():
            fill = COLOURS.get(colour, f"#{colour}" if len(colour) == 6 else COLOURS["default"])
            weight = ' font-weight="600"' if bold else ""
            # Each run at its column and of its length, whatever the font's own widths are.
            parts.append(
                f'<text x="{EDGE + column * CELL_X:.1f}" y="{y}" fill="{fill}"{weight} '
                f'textLength="{len(text) * CELL_X:.1f}" xml:space="preserve">{escape(text)}</text>'
            )
        column += len(text)
    return "".join(parts)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        draw_photos(Path(made))
        shown = record(Path(made), sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000")
    TARGET.write_text(svg_of(shown), "utf-8")
    print(
        f"{TARGET.name}: {len(shown)} frames of {shown[-1][0]:.1f} s, {TARGET.stat().st_size / 1000:.0f} kB"
    )
