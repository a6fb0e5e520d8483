"""How all pictures of docs/capacity.md look: colours, layout, and how they are written.

Text is drawn as outlines, so that a picture looks the same everywhere; the same figures give the same file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

PAPER, INK, FAINT, GRID = "#f7f7f4", "#2b2f36", "#7b818a", "#dcdcd6"
BLUE, ORANGE, RED, GREEN, GREY = "#3b6fb6", "#d98a1f", "#c0492f", "#3c8f6a", "#a9aeb5"
PARTS = {
    "LamaInpainter": "#274c80",
    "ImageEncoder": "#3b6fb6",
    "PromptDecoder": "#7fa3d6",
    "ResultComposer": "#d98a1f",
    "MaskRefiner": "#e8b65a",
    "PhotoIntake": "#f2d79b",
    "Ingress": "#3c8f6a",
    "HTTP proxy": "#7cbf9f",
    "JobRunner": "#8a6bb0",
    "Redis": "#c0492f",
    "Ray": "#8d929a",
    "controller": "#bfc3c8",
}
STYLE: Any = {  # typed by Matplotlib as a dictionary of several hundred literal names
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": INK,
    "xtick.labelcolor": INK,
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.12,
    "figure.constrained_layout.w_pad": 0.1,
    "svg.hashsalt": "capacity",
    "svg.fonttype": "path",
}
Told = Mapping[str, Any]


def save(figure: Figure, path: Path) -> None:
    """As SVG without a date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def width(figure: Told) -> float:
    """Half of a figure's interval; 0 where one value has none."""
    half = float(figure["half_width"])
    return half if half == half else 0.0
