"""Empty and odd states, live runs, and a server that goes and comes back."""

import re
import socket
import threading
import time

import numpy as np
import pytest
import runs
from playwright.sync_api import expect
from reader import (
    PATIENCE,
    card,
    copied,
    frame_of,
    heatmap,
    opened,
    readout,
)
from servers import tensorboard


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    runs.one_step(directory, "a_one")
    runs.changed(directory, "b_changed")
    runs.restarted(directory, "c_restarted")
    runs.replaced(directory, "c_two")
    runs.bad_schema(directory, "d_newer")
    runs.deep(directory, "e_deep", layers=2000, steps=60)
    return directory


def test_one_step_of_one_layer_is_a_cell(page):
    card(page, "a_one")
    section = opened(page, "a_one")
    expect(section.locator(".axis span")).to_have_text(["step 0"])
    cells = section.locator(".cells")
    cells.hover(position={"x": 50, "y": 9})
    expect(readout(page)).to_contain_text("step 0 · dense_1")
    for key in "+-r0":
        cells.press(key)
    cells.press("Enter")
    expect(section.locator(".chart:visible")).to_have_count(2)


def test_a_model_that_changed_keeps_the_rows_of_both(page):
    section = heatmap(page, "b_changed")
    names = section.locator(".names span").all_text_contents()
    assert names == [f"conv_{n}" for n in (1, 2, 3, 4)] + [
        f"dense_{n}" for n in (1, 2, 3)
    ]
    cells = section.locator(".cells")
    cells.focus()
    cells.press("Home")
    for _ in range(8):
        cells.press("ArrowUp")
    expect(readout(page).locator(".value")).to_have_text("not recorded")
    cells.press("End")
    expect(readout(page).locator(".value")).not_to_have_text("not recorded")


def test_a_restarted_run_has_each_step_once(page):
    card(page, "c_restarted")
    section = opened(page, "c_restarted")
    expect(section.locator(".axis span").last).to_have_text("80")


def test_an_earlier_training_in_the_same_directory_is_told_and_shown(page):
    frame = frame_of(page)
    section = heatmap(page, "c_two")
    expect(section.locator(".names span").first).to_have_text("conv_1")
    note = section.locator("> .earlier")
    expect(note).to_contain_text(
        "77 steps of an earlier training with another model are in the same "
        "directory.",
        timeout=PATIENCE,
    )
    label = f"c_two (earlier training {runs.network(3).id[:4]})"
    box = frame.get_by_role("checkbox", name=f"Show {label}")
    expect(box).not_to_be_checked()
    facts = card(page, label).locator(".card-facts")
    expect(facts).to_contain_text("diagnosed if shown")
    # The pin beside the words is within the card.
    assert facts.evaluate("node => node.scrollWidth <= node.clientWidth")
    note.get_by_role("button", name="show them").click()
    expect(box).to_be_checked()
    names = heatmap(page, label).locator(".names span")
    expect(names).to_have_text(["dense_1", "dense_2", "dense_3"])


def test_a_newer_format_says_what_to_do(page):
    section = frame_of(page).locator("section.heatmap")
    expect(section.filter(has_text="d_newer").locator(".message")).to_have_text(
        re.compile("format 99.*upgrade gradscope"), timeout=PATIENCE
    )
    expect(
        frame_of(page).locator(".card").filter(has_text="d_newer")
    ).to_contain_text("cannot be read")


def test_2000_layers_are_seen_at_once(page):
    card(page, "e_deep")  # what it says moves what is below
    section = opened(page, "e_deep")
    box = section.locator(".cells").bounding_box()
    assert box["height"] <= 700
    section.get_by_role("button", name="unfold all").click()
    folds = section.locator(".names .fold")
    expect(folds.first).to_contain_text("▾")
    cells = section.locator(".cells")
    assert cells.bounding_box()["height"] <= 700
    assert section.locator(".names > *").count() < 120
    # Each row has room for its name, and the block's name stays above them.
    first, second = (
        section.locator(".names span").nth(n).bounding_box() for n in (0, 1)
    )
    assert second["y"] - first["y"] >= 13.5
    section.locator(".plot").evaluate("(plot) => plot.scrollTo(0, 5000)")
    expect(folds.first).to_have_attribute("title", "block_321 … block_340")
    top, names = folds.first.bounding_box(), cells.bounding_box()
    assert top["y"] == pytest.approx(names["y"], abs=3)
    axis = section.locator(".axis span").first
    expect(axis).to_be_in_viewport()
    assert axis.bounding_box()["y"] > names["y"] + names["height"] - 1
    # The cursor is followed, whether it is below or above.
    cells.focus()
    cells.press("End")
    for key in ("ArrowDown", "ArrowUp"):
        for _ in range(3):
            cells.press(key)
        expect(section.locator(".box")).to_be_in_viewport()
    for _ in range(9):
        cells.press("r")
    expect(section.locator(".names span").first).to_be_visible()


def test_nothing_is_asked_of_what_is_not_seen(browser, address):
    page = browser.new_page(viewport={"width": 1200, "height": 400})
    asked = []
    page.on("response", lambda reply: asked.append(reply))
    page.goto(f"{address}?darkMode=false#gradscope")
    card(page, "e_deep")
    page.wait_for_timeout(1500)

    def matrices(run):
        return [
            reply
            for reply in asked
            if "matrix?" in reply.url
            and f"run={run}%2F" in reply.url
            and "preview" not in reply.url
        ]

    # What has findings comes first, and is in sight.
    assert matrices("e_deep") and not matrices("c_restarted")
    heatmap(page, "c_restarted")
    assert matrices("c_restarted")
    sizes = [
        int(reply.headers.get("content-length", 0))
        for reply in asked
        if "plugin/gradscope" in reply.url
    ]
    assert max(sizes) < 16 * 2**20
    page.close()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def live_numbers(steps):
    return runs.statistics(np.full((steps, 6), 0.5))


def test_from_nothing_to_a_live_run_and_a_server_that_returns(
    browser,
    tmp_path,
):
    directory, port = tmp_path / "logs", free_port()
    directory.mkdir()
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.set_default_timeout(PATIENCE)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    replies = []
    page.on(
        "response",
        lambda reply: (
            "matrix?" in reply.url
            and "preview" not in reply.url  # the small one, every 20 s
            and replies.append(reply)
        ),
    )
    with tensorboard(directory, port=port) as address:
        page.goto(f"{address}#gradscope")
        frame = frame_of(page)
        notice = frame.locator(".notice")
        expect(notice).to_contain_text("Nothing is recorded yet.")
        code = notice.locator("pre").text_content()
        assert code == (
            "import gradscope\n"
            'optimizer = gradscope.wrap(optimizer, "logs/run")\n'
            "model.compile(optimizer, loss)"
        )
        button = frame.get_by_role("button", name="Copy these lines")
        assert copied(page, button) == code
        # The training begins; nobody presses anything.
        described, now = runs.network(3), int(time.time() - runs.WALL_TIME)
        first = np.arange(now - 40, now)
        runs.write(directory, "run", described, first, live_numbers(40))
        section = heatmap(page, "run")
        last = section.locator(".axis span").last
        expect(last).to_have_text(str(now - 1))
        expect(frame.locator(".runs footer")).to_contain_text(
            re.compile(r"live: last step \d+ s ago")
        )
        frame.evaluate(
            """() => {
              const cells = document.querySelector(".heatmaps .cells");
              window.flickers = 0;
              new MutationObserver(() => {
                const {classList} = cells.closest(".heatmap");
                if (classList.contains("loading")) window.flickers += 1;
              }).observe(cells.closest(".heatmap"), {attributes: true});
              cells.isTheSame = true;
            }"""
        )
        before = len(replies)
        more = np.arange(now, now + 20)
        runs.write(directory, "run", described, more, live_numbers(20))
        expect(last).to_have_text(str(now + 19), timeout=PATIENCE)
        # The axis is that of the strip, too, which may be there before.
        for _ in range(100):
            grown = [r for r in replies[before:] if r.status == 200]
            if grown:
                break
            page.wait_for_timeout(50)
        assert grown and all("after=" in reply.url for reply in grown)
        # 20 columns of three layers, and not 60.
        assert max(len(reply.body()) for reply in grown) == 24 + 20 * (8 + 12)
        assert frame.evaluate("window.flickers") == 0
        assert frame.evaluate(
            "document.querySelector('.heatmaps .cells').isTheSame"
        )
    banner = frame.locator(".banner")
    expect(banner).to_contain_text(
        "TensorBoard does not answer.", timeout=PATIENCE
    )
    expect(last).to_be_visible()
    with tensorboard(directory, port=port):
        expect(banner).to_be_hidden(timeout=2 * PATIENCE)
        expect(last).to_have_text(str(now + 19))
    page.close()


def test_threads_of_servers_end():
    names = [thread.name for thread in threading.enumerate()]
    assert len(names) < 50, names
