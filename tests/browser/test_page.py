"""The page in a real TensorBoard, looked at with a real browser."""

import itertools
import os
import pathlib
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import runs
from playwright.sync_api import expect, sync_playwright

import gradscope

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ON_A_FREE_PORT = ["--host", "127.0.0.1", "--port", "0"]
OFTEN = ["--reload_interval", "1"]

# With TensorFlow installed TensorBoard takes up to 10 s to start, and twice
# that next to other tests; Playwright's own limit is 5 s.
PATIENCE = 30_000

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(event.violatedDirective + " " + event.blockedURI);
});
"""


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory with a run of each kind."""
    directory = tmp_path_factory.mktemp("logs")
    runs.vanishing(directory, "mlp/vanishing")
    runs.abnormal(directory, "mlp/abnormal")
    runs.hostile(directory)
    runs.bad_schema(directory, "newer")
    runs.deep(directory, "zz_deep", steps=300)
    runs.layered(directory, "units/layered")
    return directory


@pytest.fixture(scope="module")
def address(logdir):
    """Yields the address of `tensorboard` on the log directory."""
    command = pathlib.Path(sys.executable).with_name("tensorboard")
    with subprocess.Popen(
        [command, "--logdir", logdir, *ON_A_FREE_PORT, *OFTEN],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        told = []
        for line in process.stderr:
            told.append(line)
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            if found:
                break
        else:
            raise AssertionError("tensorboard ended:\n" + "".join(told))
        # A full pipe would stop TensorBoard.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found[0]
        process.terminate()


@pytest.fixture(scope="module")
def browser():
    if not os.path.exists(CHROMIUM):
        pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """Yields TensorBoard's page; at the end nothing may have gone wrong."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.set_default_timeout(PATIENCE)
    problems = []
    page.on("pageerror", lambda error: problems.append(f"thrown: {error}"))
    page.on("console", lambda message: problems.extend(complaint(message)))
    page.on(
        "request", lambda request: problems.extend(outside(request, address))
    )
    page.add_init_script(WATCH)
    page.goto(f"{address}?darkMode=false#gradscope")
    yield page
    problems += frame_of(page).evaluate("window.violations")
    page.close()
    assert not problems


def complaint(message):
    """Yields an error on the console; TensorBoard's own are not ours."""
    if message.type == "error" and "gradscope" in str(message.location):
        yield f"{message.text} {message.location}"


def outside(request, address):
    """Yields a request of our frame to anywhere but TensorBoard."""
    ours = "plugin_entry" in request.frame.url
    if ours and not request.url.startswith(address):
        yield f"request to {request.url}"


def frame_of(page):
    """Returns our frame once the page is built."""
    page.wait_for_selector("iframe[src*='plugin_entry']", state="attached")
    for _ in range(PATIENCE // 100):
        for frame in page.frames:
            if "plugin_entry" in frame.url and frame.query_selector(".page"):
                return frame
        page.wait_for_timeout(100)
    raise AssertionError("the page did not appear")


def heatmap(page, run):
    """Returns the section of a run, drawn."""
    frame = frame_of(page)
    title = frame.locator("h2 b", has_text=re.compile(f"^{re.escape(run)}$"))
    section = frame.locator("section.heatmap").filter(has=title)
    # Only what is in sight is asked for.
    expect(section).to_be_attached(timeout=PATIENCE)
    section.scroll_into_view_if_needed()
    # The axis is drawn right after the picture.
    expect(section.locator(".axis span").first).to_have_text(
        re.compile(r"^step \d"), timeout=PATIENCE
    )
    return section


def readout(page):
    return frame_of(page).locator(".readout")


def shortest(value):
    """Returns a float32 as the page writes it: shortest and exact."""
    text = np.format_float_scientific(
        np.float32(value), unique=True, trim="-", exp_digits=1
    )
    return text if 0 < abs(value) < 1e-3 else str(np.float32(value))


def test_a_run_appears_with_its_layers_from_input_to_output(page):
    section = heatmap(page, "mlp/vanishing")
    names = section.locator(".names span").all_text_contents()
    assert names == [f"dense_{n}" for n in range(1, 13)]
    ticks = section.locator(".axis span").all_text_contents()
    assert ticks[0] == "step 0" and ticks[-1] == "390"


def test_vanishing_is_dark_at_the_top_and_bright_at_the_bottom(page):
    canvas = heatmap(page, "mlp/vanishing").locator(".cells canvas")
    top, bottom = canvas.evaluate(
        """(canvas) => [9, canvas.height - 9].map((y) => {
          const {data} = canvas.getContext("2d").getImageData(99, y, 1, 1);
          return data[0] + data[1] + data[2];
        })"""
    )
    assert top < 230 < 400 < bottom


def test_the_pointer_reads_the_exact_value(page, logdir):
    record = gradscope.read(logdir / "mlp/vanishing")
    cells = heatmap(page, "mlp/vanishing").locator(".cells")
    box = cells.bounding_box()
    column, row = 60, 2
    cells.hover(
        position={
            "x": box["width"] * (column + 0.5) / len(record.steps),
            "y": box["height"] * (row + 0.5) / 12,
        }
    )
    value = record.by_layer("gradient_norm")[column, row]
    expect(readout(page)).to_have_text(
        f"mlp/vanishing · step {record.steps[column]} · dense_3 "
        f"kernel [32, 32], bias [32] · {shortest(value)}"
    )


def test_the_keyboard_reads_the_exact_value_aloud(page, logdir):
    record = gradscope.read(logdir / "mlp/vanishing")
    values = record.by_layer("gradient_norm")
    cells = heatmap(page, "mlp/vanishing").locator(".cells")
    cells.focus()
    for keys, column, row in [
        (["Home"], 0, 0),
        (["ArrowRight", "ArrowDown", "ArrowDown"], 1, 2),
        (["End", "ArrowUp"], 84, 1),
        (["PageUp", "ArrowLeft"], 74, 1),
        (["PageDown"], 83, 1),
    ]:
        for key in keys:
            cells.press(key)
        expect(readout(page)).to_contain_text(
            f"step {record.steps[column]} · dense_{row + 1} "
        )
        expect(readout(page).locator(".value")).to_have_text(
            shortest(values[column, row])
        )
    expect(readout(page)).to_have_attribute("aria-live", "polite")


def test_one_cursor_for_all_runs(page):
    cells = heatmap(page, "mlp/vanishing").locator(".cells")
    cells.focus()
    cells.press("Home")
    other = heatmap(page, "mlp/abnormal")
    expect(other.locator(".line")).to_be_visible()
    expect(other.locator(".box")).to_be_hidden()
    expect(other.locator("h2 .value")).not_to_be_empty()


@pytest.mark.parametrize(
    "row, kind",
    [(0, "exactly zero"), (1, "no gradient"), (2, "NaN"), (5, "NaN")],
)
def test_abnormal_cells_say_what_they_are(page, row, kind):
    frame = frame_of(page)
    cells = heatmap(page, "mlp/abnormal").locator(".cells")
    cells.focus()
    cells.press("End")
    for _ in range(row):
        cells.press("ArrowDown")
    if row == 2:
        # The layer is infinite in one step; look for that one.
        for _ in range(119 - 80):
            cells.press("ArrowLeft")
        kind = "infinite"
    expect(frame.locator(".readout .value")).to_have_text(kind)


def test_names_are_text_whatever_they_contain(page):
    section = heatmap(page, "<b>bold</b> 🚀")
    assert section.locator("h2 b b, img").count() == 0
    cells = section.locator(".cells")
    cells.focus()
    cells.press("Home")
    expect(readout(page)).to_contain_text(runs.HOSTILE.format(1))


def test_a_run_that_cannot_be_read_says_why(page):
    frame = frame_of(page)
    expect(frame.locator(".message:visible")).to_have_text(
        re.compile("format 99.*upgrade gradscope"), timeout=PATIENCE
    )


def test_200_layers_are_folded_and_their_names_do_not_overlap(page):
    section = heatmap(page, "zz_deep")
    expect(section.locator(".names .fold")).to_have_count(10)
    section.get_by_role("button", name="unfold all").click()
    names = section.locator(".names span, .names .fold")
    expect(names).not_to_have_count(10)
    boxes = sorted(
        (box.bounding_box() for box in names.all()), key=lambda box: box["y"]
    )
    assert len(boxes) > 30
    for above, below in itertools.pairwise(boxes):
        assert above["y"] + above["height"] <= below["y"] + 4


def test_statistics_and_rows_can_be_chosen_and_are_remembered(page):
    frame = frame_of(page)
    heatmap(page, "mlp/vanishing")
    frame.get_by_role("button", name="Weights and updates").click()
    frame.get_by_role("button", name="update : weight", exact=True).click()
    frame.get_by_role("button", name="kernels", exact=True).click()
    caption = frame.locator("section.heatmap small").first
    expect(caption).to_have_text(
        "update : weight of each kernel, input at the top"
    )
    expect(
        heatmap(page, "mlp/vanishing").locator(".names span").first
    ).to_have_text("dense_1/kernel")
    page.reload()
    expect(frame_of(page).locator("section.heatmap small").first).to_have_text(
        "update : weight of each kernel, input at the top", timeout=PATIENCE
    )


def test_dead_units_are_black_counted_and_dated(page):
    frame = frame_of(page)
    frame.get_by_role("button", name="Units", exact=True).click()
    section = heatmap(page, "units/layered")
    expect(section.locator("h2 .alarm")).to_have_text(
        "14 of 320 dead at step 396"
    )
    expect(section.locator(".group")).to_have_text(
        [
            "dense_1/relu6 of 64 dead",
            "dense_2/relu8 of 256 dead",
            "dense_3/leaky_relucannot die",
        ]
    )
    # Rows are three pixels high. Unit 5 is dead from step 150 on, 30 is only
    # rarely on.
    dead, before, rare = section.locator(".cells canvas").evaluate(
        """(canvas) => [[0.9, 5], [0.1, 5], [0.9, 30]].map(([x, unit]) => [
          ...canvas.getContext("2d").getImageData(
            x * canvas.width, 3 * unit + 1, 1, 1).data])"""
    )
    assert dead == [0, 0, 0, 255]
    assert max(before) > 150 and max(rare[:3]) > 90
    cells = section.locator(".cells")
    cells.focus()
    for key in ["End", *["ArrowDown"] * 5]:
        cells.press(key)
    expect(readout(page)).to_have_text(
        re.compile(
            r"units/layered · step \d+ · dense_1/relu/5 · dead · "
            r"last above zero in step 149, \d+ examples ago"
        )
    )


def test_the_pointer_finds_units_below_a_gap(page):
    frame = frame_of(page)
    frame.get_by_role("button", name="Units", exact=True).click()
    section = heatmap(page, "units/layered")
    cells = section.locator(".cells")
    # 64 rows of three pixels, six between the groups, then pairs of units.
    cells.hover(position={"x": 400, "y": 64 * 3 + 6 + 4})
    expect(readout(page)).to_contain_text("dense_2/relu/2-3")
    box = section.locator(".box").bounding_box()
    assert box["y"] - cells.bounding_box()["y"] == pytest.approx(64 * 3 + 9)


def test_a_group_of_statistics_remembers_which_was_chosen(page):
    frame = frame_of(page)
    heatmap(page, "units/layered")

    def press(name):
        button = frame.get_by_role("button", name=name, exact=True)
        button.focus()
        button.press("Enter")
        expect(button).to_have_attribute("aria-pressed", "true")

    press("Dropout and batch norm")
    buttons = frame.get_by_role("group", name="Statistic:").get_by_role(
        "button"
    )
    expect(buttons).to_have_count(6)
    press("state movement")
    press("Gradients")
    expect(buttons.first).to_have_text("gradient norm")
    press("Dropout and batch norm")
    expect(
        frame.get_by_role("button", name="state movement")
    ).to_have_attribute("aria-pressed", "true")
    # Dropout has no such number, and no row of nothing.
    names = heatmap(page, "units/layered").locator(".names span")
    expect(names).to_have_text(["batch_normalization"])
    section = frame.locator("section.heatmap").filter(has_text="mlp/vanishing")
    expect(section.locator(".message")).to_contain_text("no batch norm")


def test_the_scale_can_be_changed_fitted_and_reset(page):
    frame = frame_of(page)
    heatmap(page, "mlp/vanishing")
    low = frame.get_by_label("smallest colour")
    low.fill("1e-2")
    low.press("Enter")
    expect(frame.locator(".legend")).to_contain_text(
        re.compile("% below.* this scale")
    )
    low.fill("-1")
    low.press("Enter")
    expect(frame.locator(".legend")).to_contain_text("Two numbers above 0")
    expect(low).to_have_attribute("aria-invalid", "true")
    frame.get_by_role("button", name="fit").click()
    expect(frame.locator(".legend")).not_to_contain_text("this scale")
    frame.get_by_role("button", name="reset").click()
    expect(low).to_have_value("1e-8")


def test_runs_are_filtered_and_ticked(page):
    frame = frame_of(page)
    heatmap(page, "mlp/vanishing")
    sections = frame.locator("section.heatmap")
    expect(sections).to_have_count(6)
    search = frame.get_by_role("searchbox")
    search.fill("^mlp/")
    expect(sections).to_have_count(2)
    frame.get_by_role("checkbox", name="mlp/abnormal").uncheck()
    expect(sections).to_have_count(1)
    frame.get_by_role("checkbox", name="mlp/vanishing").uncheck()
    expect(frame.locator(".notice")).to_contain_text("No run is selected.")
    search.fill("[")
    expect(frame.locator("#filter-error")).to_contain_text(
        "Not a regular expression"
    )


def test_the_page_follows_dark_mode(page):
    frame = frame_of(page)
    root = frame.locator("html")
    expect(root).to_have_attribute("data-theme", "light")
    page.evaluate("document.body.classList.add('dark-mode')")
    expect(root).to_have_attribute("data-theme", "dark")
    assert (
        frame.locator("body").evaluate(
            "(body) => getComputedStyle(body).backgroundColor"
        )
        == "rgb(48, 48, 48)"
    )
    page.evaluate("document.body.classList.remove('dark-mode')")
    expect(root).to_have_attribute("data-theme", "light")


def test_a_narrow_window_does_not_scroll_sideways(page):
    page.set_viewport_size({"width": 700, "height": 900})
    heatmap(page, "mlp/vanishing")
    frame = frame_of(page)
    assert frame.evaluate(
        "document.documentElement.scrollWidth <= window.innerWidth"
    )


def test_a_growing_run_is_followed_after_a_reload(page, logdir):
    described = runs.network(2)
    numbers = runs.statistics(np.full((30, 4), 0.5))
    runs.write(logdir, "growing", described, range(10), numbers[:10])
    frame = frame_of(page)
    item = frame.locator(".runs li").filter(has_text="growing")
    reload_until(page, item, "10 steps")
    frame.get_by_role("checkbox", name="growing").check()
    section = heatmap(page, "growing")
    expect(section.locator(".axis span").last).to_have_text("9")
    runs.write(logdir, "growing", described, range(10, 30), numbers[10:])
    reload_until(page, item, "30 steps")
    heatmap(page, "growing")
    expect(section.locator(".axis span").last).to_have_text("29")


def test_a_hidden_page_reloads_once_it_is_seen(page):
    heatmap(page, "mlp/vanishing")
    asked = []
    page.on(
        "request",
        lambda request: (
            "/gradscope/runs" in request.url and asked.append(request.url)
        ),
    )
    page.evaluate("location.hash = '#timeseries'")
    frame_of(page).wait_for_function("innerHeight === 0")
    for _ in range(2):
        page.locator("button.reload-button").click()
        page.wait_for_timeout(1000)
    assert not asked
    with page.expect_request("**/gradscope/runs*"):
        page.evaluate("location.hash = '#gradscope'")
    heatmap(page, "mlp/vanishing")
    assert asked


def reload_until(page, item, text):
    """Presses TensorBoard's reload button until the run list says so."""
    for _ in range(PATIENCE // 1000):
        page.locator("button.reload-button").click()
        page.wait_for_timeout(1000)
        if item.count() and text in item.first.inner_text():
            return
    raise AssertionError(f"{text!r} did not appear")
