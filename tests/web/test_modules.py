"""The page's modules by themselves, in the browser they are written for."""

from __future__ import annotations

from typing import Any


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


def test_a_chosen_candidate_becomes_a_mask_of_the_same_area(script: Any) -> None:
    area = script(
        "mask_raster.js",
        """
        const ring = [[10, 10], [19, 10], [19, 29], [10, 29]];
        const png = m.maskPng({ polygons: [ring] }, 64, 48);
        const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
        const canvas = new OffscreenCanvas(64, 48);
        const ink = canvas.getContext('2d');
        ink.drawImage(bitmap, 0, 0);
        const data = ink.getImageData(0, 0, 64, 48).data;
        let count = 0;
        for (let i = 0; i < data.length; i += 4) count += data[i] > 127;
        return count;
        """,
    )
    assert area == 200
