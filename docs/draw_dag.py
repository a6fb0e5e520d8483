"""Draws the DAG of `graph.py` as `docs/dag.svg`: `make figure`.

The way of the data is written here; which stages exist is checked against the serve config, so that
a stage cannot be added or dropped without the picture.
"""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
BOX_W, BOX_H = 168, 62

# name -> (x, y, what it does, kind)
NODES = {
    "Client": (10, 150, "browser, app, curl", "outside"),
    "Ingress": (220, 150, "HTTP API, /app/, events", "cpu"),
    "PhotoIntake": (340, 20, "bytes to original.png", "cpu"),
    "Redis": (340, 290, "job state, queue", "store"),
    "WebhookSender": (340, 420, "ends of runs, signed", "cpu"),
    "JobRunner": (602, 290, "lease, walk, commit", "cpu"),
    "ImageEncoder": (602, 150, "MobileSAM TinyViT", "network"),
    "PromptDecoder": (850, 150, "taps, box to masks", "network"),
    "MaskRefiner": (1064, 150, "clean, dilate, feather", "cpu"),
    "LamaInpainter": (1064, 290, "LaMa on padded crops", "network"),
    "ResultComposer": (850, 370, "cut out, composite, PNG", "cpu"),
    "Files": (640, 480, "artifacts, embeddings", "store"),
}
EDGES = [
    ("Client", "Ingress", ""),
    ("Ingress", "PhotoIntake", "upload"),
    ("Ingress", "ImageEncoder", "upload"),
    ("Ingress", "Redis", "segment"),
    ("Redis", "JobRunner", "take"),
    ("Redis", "WebhookSender", "outbox"),
    ("WebhookSender", "Client", "callback_url"),
    ("JobRunner", "PromptDecoder", "job"),
    ("ImageEncoder", "PromptDecoder", "embedding"),
    ("PromptDecoder", "MaskRefiner", "logits"),
    ("MaskRefiner", "LamaInpainter", "crops"),
    ("MaskRefiner", "ResultComposer", "masks"),
    ("LamaInpainter", "ResultComposer", "fills"),
    ("ResultComposer", "Files", ""),
]
# Over the boxes between them.
ARCS = [
    ("Ingress", "PromptDecoder", "preview"),
    ("MaskRefiner", "ImageEncoder", "again from nearer, small networks only"),
]
COLOURS = {
    "outside": ("#ffffff", "#8a8f98"),
    "cpu": ("#eef2f7", "#5b6b80"),
    "network": ("#fdeee3", "#c8641e"),
    "store": ("#e8f3ec", "#3c7f57"),
}


def stages() -> set[str]:
    """Names of the deployments that the serve config starts."""
    config = yaml.safe_load((ROOT / "serve_config.local.yaml").read_text())
    return {item["name"] for item in config["applications"][0]["deployments"]}


def draw() -> str:
    """The picture as SVG text.

    Raises:
        ValueError: picture and serve config name different stages.
    """
    drawn = {name for name, (_, _, _, kind) in NODES.items() if kind in ("cpu", "network")}
    if drawn != stages():
        raise ValueError(f"picture and serve config differ: {sorted(drawn ^ stages())}")
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1240 560" font-family="system-ui, sans-serif">',
        '<rect width="1240" height="560" fill="#ffffff"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#5b6b80"/></marker></defs>',
    ]
    lines += [_edge(start, end, label) for start, end, label in EDGES]
    lines += [_arc(*arc) for arc in ARCS]
    lines += [_node(name, *spec) for name, spec in NODES.items()]
    lines.append(_legend())
    return "\n".join([*lines, "</svg>", ""])


def _node(name: str, x: int, y: int, text: str, kind: str) -> str:
    fill, stroke = COLOURS[kind]
    middle = x + BOX_W // 2
    return (
        f'<rect x="{x}" y="{y}" width="{BOX_W}" height="{BOX_H}" rx="10" fill="{fill}" stroke="{stroke}" '
        f'stroke-width="1.5"/><text x="{middle}" y="{y + 27}" text-anchor="middle" font-size="16" '
        f'font-weight="600" fill="#1d2733">{name}</text><text x="{middle}" y="{y + 47}" '
        f'text-anchor="middle" font-size="12" fill="#4a5666">{text}</text>'
    )


def _edge(start: str, end: str, label: str) -> str:
    points = [_border(start, end), _border(end, start)]
    path = " L".join(f"{x} {y}" for x, y in points)
    middle_x, middle_y = (points[0][0] + points[-1][0]) / 2, (points[0][1] + points[-1][1]) / 2
    text = (
        f'<text x="{middle_x}" y="{middle_y - 6}" text-anchor="middle" font-size="12" fill="#5b6b80" '
        f'paint-order="stroke" stroke="#ffffff" stroke-width="4">{label}</text>'
        if label
        else ""
    )
    return f'<path d="M{path}" fill="none" stroke="#5b6b80" stroke-width="1.5" marker-end="url(#tip)"/>{text}'


def _arc(start: str, end: str, label: str) -> str:
    """From one box's top over others of the same row to another's, dashed: it is not always gone."""
    (x, y), (to_x, to_y) = ((NODES[name][0] + BOX_W // 2, NODES[name][1]) for name in (start, end))
    top = min(y, to_y) - BOX_H
    return (
        f'<path d="M{x} {y} C{x} {top} {to_x} {top} {to_x} {to_y}" fill="none" stroke="#5b6b80" '
        f'stroke-width="1.5" stroke-dasharray="5 4" marker-end="url(#tip)"/>'
        f'<text x="{(x + to_x) // 2}" y="{(y + to_y) // 2 - 52}" text-anchor="middle" font-size="12" '
        f'fill="#5b6b80">{label}</text>'
    )


def _border(name: str, towards: str) -> tuple[float, float]:
    """Where the straight line between two boxes' middles leaves the first."""
    x, y = NODES[name][0] + BOX_W / 2, NODES[name][1] + BOX_H / 2
    dx, dy = NODES[towards][0] + BOX_W / 2 - x, NODES[towards][1] + BOX_H / 2 - y
    share = min(BOX_W / 2 / abs(dx) if dx else 9e9, BOX_H / 2 / abs(dy) if dy else 9e9)
    return round(x + dx * share, 1), round(y + dy * share, 1)


def _legend() -> str:
    names = {"network": "a network (GPU share, batches)", "cpu": "a CPU stage", "store": "shared state"}
    return "".join(
        f'<rect x="{930}" y="{440 + 30 * i}" width="18" height="18" rx="4" fill="{COLOURS[kind][0]}" '
        f'stroke="{COLOURS[kind][1]}"/><text x="{958}" y="{454 + 30 * i}" font-size="13" '
        f'fill="#1d2733">{text}</text>'
        for i, (kind, text) in enumerate(names.items())
    )


if __name__ == "__main__":
    target = ROOT / "docs" / "dag.svg"
    target.write_text(draw())
    print(f"wrote {target.relative_to(ROOT)}")
