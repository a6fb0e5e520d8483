"""How good the loaded checkpoints are on photographs with known answers: one command, two tables.

    python -m benchmarks.quality FOLDER [--no-rivals] [--json FILE]

FOLDER holds `segment/index.json`, `removal/index.json`, or both, and the pictures that they name. The
checkpoints are those of the settings (`MOBILE_SAM_CHECKPOINT`, `LAMA_CHECKPOINT`; the bundled ones where none
is to be had). Rivals answer the same questions in the same run: OpenCV's GrabCut, Telea, Navier-Stokes.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks.machine import describe_machine
from benchmarks.removal_quality import (
    Filler,
    RemovalScore,
    judged,
    known_removals,
    opencv_fill,
    service_fill,
)
from benchmarks.report import Section
from benchmarks.segmentation_quality import (
    GOOD_IOU,
    TAPS,
    KnownObject,
    Network,
    Score,
    Segmenter,
    grabcut_on,
    known_objects,
    summary,
    tapped,
)
from deployments.networks import load_decoder, load_encoder, load_inpainter
from settings import Settings, read_settings

SERVED, BARE, GRABCUT = "as served", "network alone", "GrabCut"


def segmentation_section(folder: Path, settings: Settings, *, rivals: bool) -> Section:
    """Masks after one to three taps, by method and group of objects."""
    encoder, decoder = load_encoder(settings), load_decoder(settings)
    network = Network(encoder.encoder, decoder.decoder, decoder.image_size, decoder.closer_look)
    scores: dict[str, dict[str, list[Score]]] = defaultdict(dict)
    objects = list(known_objects(folder))
    for item in tqdm(objects, desc="objects", unit="object"):
        served, bare = network.on(item.image)
        methods: dict[str, Segmenter] = {SERVED: served, BARE: bare}
        if rivals:
            methods[GRABCUT] = grabcut_on(item.image)
        for name, segment in methods.items():
            # GrabCut takes seconds for each tap: one has to do.
            scores[name][item.name] = tapped(item, segment, 1 if name == GRABCUT else TAPS)
    columns = ("objects", "", *(f"IoU, {n} tap{'s'[: n > 1]}" for n in range(1, TAPS + 1)))
    section = Section(
        f"Segmentation: {encoder.description['name']}",
        (*columns, f"over {GOOD_IOU:g}, 1 tap", "boundary F, 1 tap"),
    )
    for group, names in _groups(objects).items():
        for method, by_object in scores.items():
            row = summary([by_object[name] for name in names])
            cells = ("-" if np.isnan(value) else f"{value:.3f}" for value in row)
            section.rows.append((f"{group} ({len(names)})", method, *cells))
    for what, seconds in (
        ("encode", network.encode_s),
        ("decode", network.decode_s),
        ("looking closer", network.closer_s),
        ("outline", network.refine_s),
    ):
        if not seconds:
            continue
        p50, p95 = 1000 * np.percentile(seconds, (50, 95))
        section.notes.append(f"{what}: p50 {p50:.1f} ms, p95 {p95:.1f} ms")
    section.values = {
        method: {name: [asdict(score) for score in one] for name, one in by_object.items()}
        for method, by_object in scores.items()
    }
    return section


def removal_section(folder: Path, settings: Settings, *, rivals: bool) -> Section:
    """What is in the hole, by method and kind of photograph."""
    loaded = load_inpainter(settings)
    seconds: list[float] = []
    methods: dict[str, Filler] = {SERVED: service_fill(loaded.inpainter, settings.inpaint_sizes, seconds)}
    if rivals:
        methods["Telea"] = opencv_fill(cv2.INPAINT_TELEA)
        methods["Navier-Stokes"] = opencv_fill(cv2.INPAINT_NS)
    scores: dict[str, dict[str, RemovalScore]] = defaultdict(dict)
    kinds: dict[str, list[str]] = defaultdict(list)
    for case in tqdm(list(known_removals(folder, settings.max_image_size)), desc="removals", unit="picture"):
        kinds[case.kind if case.truth is not None else f"{case.kind}, truth unknown"].append(case.name)
        for name, fill in methods.items():
            scores[name][case.name] = judged(case, fill(case.image, case.item))
    columns = ("pictures", "", "PSNR, dB", "SSIM", "gradient energy", "its median", "ghost", "change, levels")
    section = Section(f"Removal: {loaded.description['name']}", columns)
    for kind, names in sorted(kinds.items()):
        for method, by_case in scores.items():
            values = np.array([astuple(by_case[name]) for name in names])
            psnr, ssim, energy, true_energy, ghost, change = values.mean(axis=0)
            # Of all pictures together: a ratio of one with a sky behind the object says nothing.
            middle = float(np.median(values[:, 2] / np.maximum(values[:, 3], 1.0)))
            cells = (psnr, ssim, energy / max(true_energy, 1.0), middle, ghost, change)
            shown = tuple("-" if np.isnan(value) else f"{value:.2f}" for value in cells)
            section.rows.append((f"{kind} ({len(names)})", method, *shown))
    p50, p95 = 1000 * np.percentile(seconds, (50, 95))
    section.notes.append(f"one run of the network: p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    section.values = {
        method: {name: asdict(one) for name, one in by.items()} for method, by in scores.items()
    }
    return section


def _groups(objects: Sequence[KnownObject]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {"all": [item.name for item in objects]}
    keys: tuple[Callable[[KnownObject], str], ...] = (lambda item: item.tier, lambda item: item.subset)
    for key in keys:
        for name in sorted({key(item) for item in objects}):
            groups.setdefault(name, [item.name for item in objects if key(item) == name])
    return groups


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--no-rivals", action="store_true", help="the checkpoints alone")
    parser.add_argument("--json", type=Path, help="write every score there")
    options = parser.parse_args(arguments)
    settings, rivals = read_settings(), not options.no_rivals
    facts = {"date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **describe_machine()}
    print("\n".join(f"{key}: {value}" for key, value in facts.items()))
    sections = []
    for name, section_of in (("segment", segmentation_section), ("removal", removal_section)):
        if (options.folder / name / "index.json").exists():
            sections.append(section_of(options.folder / name, settings, rivals=rivals))
            print("\n" + "\n".join(sections[-1].lines()), flush=True)
    if not sections:
        parser.error(f"{options.folder} has neither segment/index.json nor removal/index.json")
    if options.json:
        options.json.write_text(
            json.dumps({**facts, "sections": [asdict(one) for one in sections]}, indent=1)
        )


if __name__ == "__main__":
    main()
