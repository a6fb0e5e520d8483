"""The page's modules by themselves, in the browser they are written for."""

from __future__ import annotations

import base64
import json
from typing import Any

import cv2
import numpy as np

from engine.photo import read_mask
from engine.shapes import coco_rle
from engine.types import MaskRegion, PixelBox
from tests.web.brushwork import painted


def test_selection_undoes_and_redoes_every_step(script: Any) -> None:
    counts = script(
        "objects.js",
        """
        const s = new m.Selection(), seen = [];
        const note = () => seen.push(s.objects.map((o) => o.points.length + (o.box ? 10 : 0)).join());
        s.addPoint([1, 2], 1); note();
        s.addPoint([3, 4], 0); note();
        s.addBox([0, 0, 9, 9]); note();
        s.remove(1); note();
        s.undo(); note(); s.undo(); note(); s.undo(); note(); s.redo(); note();
        return seen;
        """,
    )
    assert counts == ["1", "2", "2,10", "10", "2,10", "2", "1", "2"]


def test_selection_gives_each_object_a_colour_of_its_own(script: Any) -> None:
    colours = script(
        "objects.js",
        """
        const s = new m.Selection();
        for (let i = 0; i < 8; i += 1) { s.addPoint([i, i], 1); s.startAnother(); }
        s.remove(3); s.addPoint([50, 50], 1);
        return s.objects.map((o) => o.colour);
        """,
    )
    assert sorted(colours) == list(range(8))


def test_selection_refuses_to_leave_out_of_nothing(script: Any) -> None:
    assert script("objects.js", "return new m.Selection().addPoint([1, 1], 0)") is False


def test_selection_ignores_a_damaged_memory(script: Any) -> None:
    loaded = script(
        "objects.js",
        """
        const s = new m.Selection();
        s.load({ objects: [{ id: 1 }], nextId: 2 });
        return s.objects.length;
        """,
    )
    assert loaded == 0


def test_view_finds_the_same_pixel_after_zoom_and_pan(script: Any) -> None:
    pixels = script(
        "stage/view.js",
        """
        const v = new m.View();
        v.picture = { width: 640, height: 480 }; v.screen = { width: 390, height: 500 }; v.fit();
        const found = [];
        for (const pixel of [[0, 0], [639, 479], [200, 100]]) {
          v.zoomAt(1.7, 120, 200); v.pan(-13, 7);
          const [x, y] = v.toScreen([pixel[0] + 0.5, pixel[1] + 0.5]);
          found.push(v.pixelAt(x, y));
        }
        return found;
        """,
    )
    assert pixels == [[0, 0], [639, 479], [200, 100]]


def test_view_knows_no_pixel_outside_the_picture(script: Any) -> None:
    outside = script(
        "stage/view.js",
        """
        const v = new m.View();
        v.picture = { width: 100, height: 50 }; v.screen = { width: 400, height: 400 }; v.fit();
        return [v.pixelAt(200, 2), v.pixelAt(200, 398), v.pixelAt(200, 200)];
        """,
    )
    assert outside == [None, None, [50, 25]]


def test_events_cut_anywhere_are_read_whole(script: Any) -> None:
    events = script(
        "event_stream.js",
        r"""
        const text = ': still here\n\nevent: status\ndata: {"a":"é"}\n\nevent: gone\ndata: {}\n\n';
        const bytes = new TextEncoder().encode(text);
        const read = [];
        const body = new ReadableStream({
          start(stream) { for (const b of bytes) stream.enqueue(Uint8Array.of(b)); stream.close(); },
        });
        for await (const e of m.readEvents(body)) read.push([e.event, e.data]);
        return read;
        """,
    )
    assert events == [["heartbeat", ""], ["status", '{"a":"é"}'], ["gone", "{}"]]


def blobs(width: int, height: int) -> np.ndarray:
    """Ragged islands with holes, some touching the border and some only each other's corners."""
    noise = np.random.default_rng(3).normal(size=(height, width)).astype(np.float32)
    mask: np.ndarray = cv2.GaussianBlur(noise, (0, 0), 2.5) > 0.02
    mask[20:22, 20:22], mask[22:24, 22:24] = True, True
    mask[5, 5] = True
    return mask


def region(mask: np.ndarray) -> MaskRegion:
    return MaskRegion(PixelBox(0, 0, mask.shape[1], mask.shape[0]), mask)


def test_an_exact_mask_is_read_as_the_service_writes_it(script: Any) -> None:
    mask = blobs(90, 70)
    rle = coco_rle(region(mask), 90, 70).as_dict()
    bits = script("mask.js", f"return [...m.decodeRle({json.dumps(rle)}, [0, 0, 90, 70]).bits].join('')")
    assert bits == "".join(str(int(bit)) for bit in mask.ravel())


def test_an_exact_mask_is_read_within_its_box_only(script: Any) -> None:
    mask = np.zeros((70, 90), bool)
    mask[10:70, 30:50] = blobs(20, 60)
    mask[10, 30] = mask[69, 49] = True
    rle = coco_rle(region(mask), 90, 70).as_dict()
    bits = script("mask.js", f"return [...m.decodeRle({json.dumps(rle)}, [30, 10, 50, 70]).bits].join('')")
    assert bits == "".join(str(int(bit)) for bit in mask[10:70, 30:50].ravel())


def test_an_outline_is_smooth_and_leaves_every_pixel_on_its_side(script: Any) -> None:
    mask = blobs(120, 90)
    mask[:, 60:] = np.hypot(*(np.mgrid[0:90, 0:60] - 30)) < 26.3
    rle = json.dumps(coco_rle(region(mask), 120, 90).as_dict())
    wrong, disc = script(
        "outline.js",
        f"""
        const {{ decodeRle }} = await import('./js/mask.js');
        const {{ contoursOf }} = await import('./js/contours.js');
        const mask = decodeRle({rle}, [0, 0, 120, 90]);
        const path = m.outlineOf(mask, 1);
        const ink = document.createElement('canvas').getContext('2d');
        let wrong = 0;
        mask.bits.forEach((bit, i) => {{
          const inside = ink.isPointInPath(path, (i % 120) + 0.5, Math.floor(i / 120) + 0.5, 'evenodd');
          wrong += inside !== (bit === 1);
        }});
        const ring = contoursOf(mask).find((ring) => ring.every((at, i) => i % 2 || at > 60));
        return [wrong, [...ring]];
        """,
    )
    assert wrong == 0
    reach = np.hypot(*(np.reshape(disc, (-1, 2)) - 90.5 + [0, 60]).T)
    assert reach.max() - reach.min() < 0.7, "the pixels' steps are still in the line: they are up to 1 deep"


def test_a_mask_is_sent_as_the_very_same_pixels(script: Any) -> None:
    mask = blobs(90, 70)
    rle = json.dumps(coco_rle(region(mask), 90, 70).as_dict())
    png = script(
        "mask_png.js",
        f"const {{ decodeRle }} = await import('./js/mask.js');"
        f"const mask = decodeRle({rle}, [0, 0, 90, 70]);"
        "mask.x += 7; mask.y += 3;"
        "return m.maskPng(mask, 101, 77);",
    )
    read = read_mask(base64.b64decode(png), 101, 77)
    sent = np.zeros((77, 101), bool)
    sent[read.box.slices] = read.pixels
    expected = np.zeros((77, 101), bool)
    expected[3:73, 7:97] = mask
    assert np.array_equal(sent, expected)


def test_strokes_cover_the_pixels_near_their_line(script: Any) -> None:
    strokes = [
        {"erase": False, "path": [20.3, 18.2, 7.4, 61.7, 30.1, 7.4, 55.2, 66.6, 7.4]},
        {"erase": True, "path": [38.1, 24.4, 3.3]},
        {"erase": True, "path": [96.2, 40.3, 12.1, 60.5, 41.5, 12.1]},
        {"erase": False, "path": [-4.2, 5.1, 6.3, 8.8, 5.2, 6.3]},
    ]
    base = blobs(120, 90)
    rle = json.dumps(coco_rle(region(base), 120, 90).as_dict())
    png = script(
        "strokes.js",
        f"""
        const {{ decodeRle }} = await import('./js/mask.js');
        const {{ maskPng }} = await import('./js/mask_png.js');
        const base = decodeRle({rle}, [0, 0, 120, 90]);
        return maskPng(m.corrected(base, {json.dumps(strokes)}, 120, 90), 120, 90);
        """,
    )
    read = read_mask(base64.b64decode(png), 120, 90)
    mask = np.zeros((90, 120), bool)
    mask[read.box.slices] = read.pixels
    assert np.array_equal(mask, painted(base, strokes))


def test_a_stroke_under_pressure_is_as_wide_as_the_pen_was_pressed(script: Any) -> None:
    rows = script(
        "strokes.js",
        """
        const mask = m.corrected(null, [{ erase: false, path: [10.5, 20.5, 2, 60.5, 20.5, 10] }], 80, 40);
        const width = (x) => {
          let count = 0;
          for (let y = 0; y < mask.height; y += 1) count += mask.bits[y * mask.width + x - mask.x];
          return count;
        };
        return [[mask.x, mask.y, mask.width, mask.height], width(10), width(35), width(60)];
        """,
    )
    assert rows[0] == [8, 10, 63, 21]
    assert rows[1] in (5, 6) and rows[2] in (12, 13, 14) and rows[3] == 21


def test_a_stroke_is_kept_short_without_going_astray(script: Any) -> None:
    path = script(
        "strokes.js",
        """
        const path = [];
        for (let i = 0; i <= 200; i += 1) path.push(10 + i / 2, 50 + 20 * Math.sin(i / 30), 5);
        return m.shortened(path, 0.25);
        """,
    )
    kept = np.reshape(path, (-1, 3))
    assert len(kept) < 40
    assert (kept[0, 0], kept[-1, 0]) == (10, 110)
    full = np.array([[10 + i / 2, 50 + 20 * np.sin(i / 30)] for i in range(201)])
    ends = np.searchsorted(kept[:, 0], full[:, 0]).clip(1)
    share = (full[:, 0] - kept[ends - 1, 0]) / (kept[ends, 0] - kept[ends - 1, 0])
    off = kept[ends - 1, 1] + share * (kept[ends, 1] - kept[ends - 1, 1]) - full[:, 1]
    assert np.abs(off).max() < 0.5


def test_of_four_outlines_three_are_offered_the_one_in_use_and_the_largest_among_them(script: Any) -> None:
    offered = script(
        "previews.js",
        """
        const prompt = { points: [[1, 1]], labels: [1], box: null };
        const key = JSON.stringify([prompt.points, prompt.labels, prompt.box]);
        const [areas, scores] = [[24458, 70327, 78342, 93465], [0.22, 0.32, 0.35, 0.34]];
        const candidates = areas.map((area, index) => ({ area, score: scores[index] }));
        const p = new m.Previews(null);
        return candidates.map((used) => {
          p.answers.set(key, { ...used, candidates });
          return p.candidatesOf(prompt).map(({ area }) => area);
        });
        """,
    )
    assert offered == [
        [24458, 78342, 93465],
        [24458, 70327, 93465],
        [24458, 78342, 93465],
        [24458, 78342, 93465],
    ]
