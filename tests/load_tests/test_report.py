from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

from load_tests.day import Persona
from load_tests.figure import STAGES, draw, save
from load_tests.limits import judge
from load_tests.report import write_report
from load_tests.run import read_run
from tests.load_tests.made_up import good_run, with_last_sample, write

SVG = "{http://www.w3.org/2000/svg}"


def test_what_was_written_down_is_read_again(tmp_path: Path) -> None:
    run = good_run()
    write(run, tmp_path)
    again = read_run(tmp_path)
    assert again.rows == run.rows and again.crowds == run.crowds and again.taken == run.taken


def test_page_has_the_verdict_the_tables_and_a_figure_that_names_everything(tmp_path: Path) -> None:
    run = with_last_sample(good_run(), jobs={"processing": 2})
    page = write_report(run, judge(run), tmp_path, "make load").read_text()
    assert re.search(r"1 of \d+ limits broken", page) and page.count(">BROKEN<") == 1
    assert "jobs left in the store</td><td>{&#x27;processing&#x27;: 2}</td>" in page
    drawing = page[page.index("<svg") : page.index("</svg>") + 6]
    drawn = "\n".join(text.text or "" for text in ElementTree.fromstring(drawing).iter(f"{SVG}text"))
    for name in (*STAGES, *(one.value for one in Persona), "noon", "evening", "wanted as a line"):
        assert name in drawn, name
    for persona in ("first tap, tap to ready", "three objects, tap to ready"):
        assert f"<td>{persona}</td>" in page


def test_figure_is_1200_pixels_wide_and_not_empty(tmp_path: Path) -> None:
    save(draw(good_run(), "A day"), tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.width == 1200
        colours = {pixel for _, pixel in picture.convert("RGB").getcolors(1 << 22) or ()}
    red = tuple(int(STAGES["LamaInpainter"][at : at + 2], 16) for at in (1, 3, 5))
    assert red in colours
