"""Commands in words, names, and work on one object of several, as a user does them on the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Route, expect

from tests.web.editor import DISC, SIZE, SQUARE, Editor
from tests.web.test_trouble import square_mask

# Chromium has neither a microphone here nor its maker's servers, so a stub takes the place of its
# recognition: it remembers how it was set up, and the test says in its stead what was heard.
SPEECH_STUB = """
window.heard = null;
window.SpeechRecognition = window.webkitSpeechRecognition = class {
    start() { window.heard = this; }
    stop() { this.onend(); }
    abort() { this.onerror({ error: 'aborted' }); this.onend(); }
    say(texts, isFinal) {
        const result = Object.assign(texts.map((transcript) => ({ transcript })), { isFinal });
        this.onresult({ results: [result] });
        if (isFinal) this.onend();
    }
    fail(error) { this.onerror({ error }); this.onend(); }
};
"""


def answer_with_squares(editor: Editor) -> None:
    """Previews are squares around the newest tap, so that a test is about words and not about outlines."""

    def answer(route: Route) -> None:
        x, y = route.request.post_data_json["points"][-1]
        route.fulfill(json=square_mask(max(x - 50, 0), max(y - 50, 0)))

    editor.page.route("**/preview", answer)


def command(editor: Editor, words: str) -> None:
    field = editor.page.locator("#command-text")
    field.fill(words)
    field.press("Enter")


def reading(editor: Editor) -> Locator:
    return editor.page.locator("#reading")


def titles(editor: Editor) -> Locator:
    return editor.page.locator("#objects li[data-id] b")


def tap_of(prompt: dict[str, Any]) -> list[int]:
    """The one tap of an object as it was sent."""
    [point] = prompt["points"]
    return list(point)


def near(a: list[int], b: tuple[int, int]) -> bool:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= 2


def test_a_typed_command_removes_the_left_one_of_two(editor: Editor, picture: Path, tmp_path: Path) -> None:
    editor.mark_both(picture)
    field = editor.page.locator("#command-text")
    field.fill("please remove the person on the left")
    expect(editor.page.locator("#foreseen")).to_have_text("Remove Object 1, on the left")
    with editor.page.expect_request("**/segment*") as sent:
        field.press("Enter")
    expect(editor.page.locator("#progress-title")).to_have_text("Removing Object 1")
    body = sent.value.post_data_json
    assert body["outputs"] == ["full_inpainted"]
    [only] = body["objects"]
    assert near(tap_of(only), DISC)

    editor.expect_screen("results")
    saved = editor.save("#files a[download]", tmp_path)
    before, after = (np.asarray(Image.open(path).convert("RGB")) for path in (picture, saved))
    assert not np.array_equal(after[DISC[1], DISC[0]], before[DISC[1], DISC[0]])


def test_cutting_out_asks_for_no_inpainting_and_removing_too_for_the_same_object(
    desktop: Editor, picture: Path
) -> None:
    desktop.mark_both(picture)
    with desktop.page.expect_request("**/segment*") as sent:
        command(desktop, "cut out object two")
    assert sent.value.post_data_json["outputs"] == ["cropped"]
    desktop.expect_screen("results")
    expect(desktop.page.locator("#files b")).to_have_text(["Object 2"])
    status = desktop.page.request.get(f"{desktop.service_url}/status/{desktop.job_id()}").json()
    assert not [file for file in status["files"] if "inpainted" in file]

    with desktop.page.expect_request("**/segment*") as sent:
        command(desktop, "remove it too")
    body = sent.value.post_data_json
    assert body["outputs"] == ["cropped", "full_inpainted"]
    assert [near(tap_of(each), SQUARE) for each in body["objects"]] == [True]
    desktop.expect_screen("results")
    expect(desktop.page.locator("#files b")).to_have_text(["Clean picture", "Object 2"])


def test_words_that_are_not_understood_do_nothing_and_say_what_would_be(
    desktop: Editor, picture: Path
) -> None:
    answer_with_squares(desktop)
    desktop.mark_both(picture)
    asked: list[str] = []
    desktop.page.on("request", lambda request: asked.append(request.url))
    for words, said in {
        "don't remove it": "Nothing was done, as you said",
        "bananas": "Try “remove it”",
        "remove the man with the hat": "Say a number, a name or a place",
        "remove object 5": "There is no object 5",
        "remove the giraffe": "Nothing is called “giraffe”",
    }.items():
        command(desktop, words)
        expect(reading(desktop)).to_contain_text(said)
        expect(reading(desktop)).to_have_attribute("data-kind", "problem")
    desktop.expect_objects(2)
    assert not [url for url in asked if "/segment" in url]
    expect(desktop.page.locator("#command-text")).to_be_focused()


def test_a_place_without_an_object_is_tapped_and_confirmed_first(editor: Editor, picture: Path) -> None:
    answer_with_squares(editor)
    editor.open(picture)
    asked: list[str] = []
    editor.page.on("request", lambda request: asked.append(request.url))
    with editor.expect_preview(lambda prompt: prompt["points"] == [[SIZE[0] // 6, SIZE[1] // 2]]):
        command(editor, "cut out the person on the left")
    expect(reading(editor)).to_contain_text("Does the outline show the person?")
    editor.expect_objects(1)
    assert not [url for url in asked if "/segment" in url]
    reading(editor).get_by_role("button", name="No").click()
    editor.expect_objects(0)
    expect(reading(editor)).to_contain_text("tap the person in the picture")

    command(editor, "cut out the person on the left")
    reading(editor).get_by_role("button", name="Yes, cut it out").click()
    editor.expect_screen("results")
    expect(editor.page.locator("#cutouts img")).to_have_count(1)


def test_a_name_is_given_kept_over_a_reload_undone_and_used_for_the_file(
    desktop: Editor, picture: Path, tmp_path: Path
) -> None:
    desktop.mark_both(picture)
    keyboard = desktop.page.keyboard
    desktop.page.locator("#objects .object-name").first.dblclick()
    keyboard.type("Cat: big/fat")
    keyboard.press("Enter")
    expect(titles(desktop)).to_have_text(["Cat: big/fat", "Object 2"])
    keyboard.press("Control+z")
    expect(titles(desktop)).to_have_text(["Object 1", "Object 2"])
    keyboard.press("Control+Shift+z")
    desktop.page.reload()
    desktop.expect_objects(2)
    expect(titles(desktop)).to_have_text(["Cat: big/fat", "Object 2"])

    command(desktop, "rename the right one to Dog")
    expect(reading(desktop)).to_have_text("Object 2 is called Dog now.")
    with desktop.page.expect_request("**/segment*") as sent:
        command(desktop, "cut out the dogs")
    assert len(sent.value.post_data_json["objects"]) == 1
    desktop.expect_screen("results")
    assert desktop.save("#files a[download]", tmp_path).name == "two shapes-Dog.png"
    command(desktop, "call it cat big fat")
    desktop.page.reload()
    desktop.expect_screen("results")
    assert desktop.save("#files a[download]", tmp_path).name == "two shapes-cat big fat.png"
    with desktop.page.expect_download() as started:
        command(desktop, "download everything")
    assert started.value.suggested_filename == "two shapes-tapcut.zip"


def test_one_of_two_is_worked_on_alone_by_its_own_button(editor: Editor, picture: Path) -> None:
    answer_with_squares(editor)
    editor.mark_both(picture)
    expect(editor.page.locator("#remove")).to_have_text("Remove all 2")
    if editor.touch:
        editor.page.locator("#objects li[data-current] [data-does=edit]").tap()
        editor.page.locator("#object-card-name").fill("Box")
        button = editor.page.locator("#object-card-extract")
    else:
        button = editor.page.get_by_role("button", name="Cut out this: Object 2")
    with editor.page.expect_request("**/segment*") as sent:
        button.click()
    assert [near(tap_of(each), SQUARE) for each in sent.value.post_data_json["objects"]] == [True]
    editor.expect_screen("results")
    expect(editor.page.locator("#files b")).to_have_text(["Box" if editor.touch else "Object 2"])


def test_keys_alone_name_an_object_and_give_a_command(desktop: Editor, picture: Path) -> None:
    answer_with_squares(desktop)
    desktop.mark_both(picture)
    keyboard = desktop.page.keyboard
    keyboard.press("F2")
    keyboard.type("n+0-")  # keys that do something else outside a field
    keyboard.press("Escape")
    expect(titles(desktop)).to_have_text(["Object 1", "Object 2"])
    keyboard.press("F2")
    keyboard.type("Box")
    keyboard.press("Enter")
    expect(titles(desktop)).to_have_text(["Object 1", "Box"])
    keyboard.press("/")
    keyboard.type("unmark the box")
    keyboard.press("Enter")
    desktop.expect_objects(1)
    expect(reading(desktop)).to_have_text("Box is not marked any more.")
    expect(desktop.page.locator("#zoom-fit")).to_have_text("100%")
    keyboard.press("ArrowUp")
    expect(desktop.page.locator("#command-text")).to_have_value("unmark the box")
    keyboard.press("Escape")
    expect(desktop.page.locator("#stage")).to_be_focused()


def test_starting_over_by_words_is_confirmed_before_anything_is_deleted(
    desktop: Editor, picture: Path
) -> None:
    desktop.open(picture)
    command(desktop, "start over")
    expect(reading(desktop)).to_contain_text("deleted on the server")
    command(desktop, "no")
    desktop.expect_screen("edit")
    command(desktop, "start over")
    with desktop.page.expect_response(lambda answer: answer.request.method == "DELETE"):
        command(desktop, "yes")
    desktop.expect_screen("empty")


@pytest.fixture
def listening(desktop: Editor, picture: Path) -> Editor:
    """Two objects are marked, the microphone was pressed, and the stub listens."""
    desktop.page.add_init_script(SPEECH_STUB)
    answer_with_squares(desktop)
    desktop.mark_both(picture)
    desktop.press("speak")
    expect(desktop.page.locator("#speak")).to_have_attribute("aria-pressed", "true")
    return desktop


def hear(editor: Editor, texts: list[str], *, final: bool) -> None:
    editor.page.evaluate("([texts, final]) => window.heard.say(texts, final)", [texts, final])


def test_a_spoken_command_is_shown_while_it_is_said_and_then_done(listening: Editor) -> None:
    expect(reading(listening)).to_contain_text("to its maker to be recognised")
    assert listening.page.evaluate("window.heard.lang") == "en"
    hear(listening, ["cut out the"], final=False)
    expect(listening.page.locator("#command-text")).to_have_value("cut out the")
    with listening.page.expect_request("**/segment*") as sent:
        hear(listening, ["cut doubt object too", "cut out object to"], final=True)
    assert sent.value.post_data_json["outputs"] == ["cropped"]
    assert [near(tap_of(each), SQUARE) for each in sent.value.post_data_json["objects"]] == [True]
    listening.expect_screen("results")


def test_speech_that_fails_is_explained(listening: Editor) -> None:
    for error, said in {
        "not-allowed": "Allow it beside the address",
        "network": "cannot be reached",
        "no-speech": "Nothing was heard",
        "audio-capture": "No microphone was found",
    }.items():
        listening.page.evaluate("(error) => window.heard.fail(error)", error)
        expect(reading(listening)).to_contain_text(said)
        expect(listening.page.locator("#speak")).to_have_attribute("aria-pressed", "false")
        listening.press("speak")
    listening.expect_objects(2)


def test_speech_that_is_no_command_is_repeated_and_listening_can_be_stopped(listening: Editor) -> None:
    hear(listening, ["what a lovely day"], final=True)
    expect(reading(listening)).to_contain_text("Heard: “what a lovely day”")
    expect(reading(listening)).to_contain_text("nothing was done")
    listening.press("speak")
    expect(reading(listening)).to_contain_text("Listening")
    listening.press("speak")
    expect(reading(listening)).to_be_empty()


def test_without_speech_recognition_there_is_no_microphone(desktop: Editor, picture: Path) -> None:
    desktop.page.add_init_script(
        "delete window.SpeechRecognition; delete window.webkitSpeechRecognition;"
        " window.SpeechRecognition = window.webkitSpeechRecognition = undefined;"
    )
    desktop.open(picture)
    expect(desktop.page.locator("#command-text")).to_be_visible()
    expect(desktop.page.locator("#speak")).to_be_hidden()
