"""The page in a real TensorBoard, looked at with a real browser."""

import itertools
import re

import numpy as np
import pytest
import runs
from playwright.sync_api import expect
from reader import (
    PATIENCE,
    card,
    frame_of,
    heatmap,
    opened,
    readout,
    reload_until,
)

import gradscope


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


def shortest(value):
    """Returns a float32 as the page writes it: shortest and exact."""
    text = np.format_float_scientific(
        np.float32(value), unique=True, trim="-", exp_digits=1
    )
    return text if 0 < abs(value) < 1e-3 else str(np.float32(value))


@pytest.mark.in_tensorboard
def test_a_run_appears_with_its_layers_from_input_to_output(page):
    section = heatmap(page, "mlp/vanishing")
    names = section.locator(".names span").all_text_contents()
    assert names == [f"dense_{n}" for n in range(1, 13)]
    ticks = section.locator(".axis span").all_text_contents()
    # All runs have the same axis, and another one is longer.
    assert ticks[0] == "step 0" and ticks[-1] == "399"


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
    # From step 50 on every tenth is recorded; the axis ends at step 400.
    cells.hover(
        position={
            "x": box["width"] * (record.steps[column] + 5) / 400,
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


def test_steps_are_even_or_a_column_each_and_it_is_remembered(page):
    """By default the first 50 steps, all recorded, take an eighth of 400."""

    def dark_until(section):
        """Returns from where on a run of 120 steps is empty, as a share."""
        return section.locator(".cells canvas").evaluate(
            """(canvas) => {
              const {data} = canvas.getContext("2d").getImageData(
                0, 9, canvas.width, 1);
              const end = data.findLastIndex((value, i) =>
                i % 4 === 3 && value);
              return end / 4 / canvas.width;
            }"""
        )

    section = heatmap(page, "mlp/abnormal")
    assert dark_until(section) == pytest.approx(120 / 400, abs=0.01)
    expect(section.locator(".axis b")).to_have_count(0)
    frame = frame_of(page)
    frame.get_by_role("searchbox").fill("mlp/vanishing")
    frame.get_by_role("button", name="columns", exact=True).click()
    marks = heatmap(page, "mlp/vanishing").locator(".axis b")
    expect(marks).to_have_text(["every 10"])
    left = marks.evaluate("(mark) => parseFloat(mark.style.left)")
    assert left == pytest.approx(100 * 51 / 85, abs=0.1)
    page.reload()
    section = heatmap(page, "mlp/vanishing")
    expect(
        frame_of(page).get_by_role("button", name="columns", exact=True)
    ).to_have_attribute("aria-pressed", "true")


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
    card(page, "zz_deep")  # what it says moves what is below
    section = heatmap(page, "zz_deep")
    folds = section.locator(".names .fold")
    expect(folds).to_have_count(10)
    expect(folds.nth(9)).to_have_text("▸ block_181\u2013200 (20)")
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
    expect(section.locator("h2 small.alarm")).to_have_text(
        re.compile(r"14 of 320 dead at step 39\d")
    )
    expect(section.locator(".group")).to_have_text(
        [
            "dense_1/relu6 of 64 dead",
            "dense_2/relu8 of 256 dead",
            "dense_3/leaky_relucannot die",
        ]
    )
    first = section.locator(".names .unit").first
    expect(first).to_be_visible()
    expect(first).to_have_text("0")
    # Rows are three pixels high. Unit 5 is dead from step 150 on, 30 is only
    # rarely on.
    dead, before, rare = section.locator(".cells canvas").evaluate(
        """(canvas) => [[0.9, 5], [0.1, 5], [0.9, 30]].map(([x, unit]) => [
          ...canvas.getContext("2d").getImageData(
            x * canvas.width, 3 * unit + 1, 1, 1).data])"""
    )
    assert dead == [0, 0, 0, 255]
    assert max(before) > 150 and max(rare[:3]) > 80
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


@pytest.mark.in_tensorboard
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


@pytest.mark.in_tensorboard
@pytest.mark.slow
def test_a_growing_run_is_followed_after_a_reload(page, logdir):
    described = runs.network(2)
    numbers = runs.statistics(np.full((30, 4), 0.5))
    runs.write(logdir, "growing", described, range(10), numbers[:10])
    frame = frame_of(page)
    item = frame.locator(".runs li").filter(has_text="growing")
    reload_until(page, item, "10 steps")
    # Alone: runs that are shown beside each other share one axis.
    section = opened(page, "growing")
    expect(section.locator(".axis span").last).to_have_text("9")
    runs.write(logdir, "growing", described, range(10, 30), numbers[10:])
    reload_until(page, item, "30 steps")
    heatmap(page, "growing")
    expect(section.locator(".axis span").last).to_have_text("29")


@pytest.mark.in_tensorboard
@pytest.mark.slow
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
