"""The views of the page: overview, heatmap, flow, layer, comparison."""

import itertools
import re

import pytest
import runs
from playwright.sync_api import expect
from reader import (
    PATIENCE,
    card,
    frame_of,
    heatmap,
    opened,
    press,
    readout,
    ticks,
    ticks_after,
)

import gradscope

# TensorBoard's palette in its light theme, in its order of runs.
PALETTE = ["#425066", "#12b5cb", "#e52592", "#f9ab00", "#9334e6"]


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory with a run for each view."""
    directory = tmp_path_factory.mktemp("logs")
    runs.healthy(directory, "a/healthy")
    runs.vanishing(directory, "b/vanishing")
    runs.abnormal(directory, "c/abnormal")
    runs.blocks(directory, "d/blocks")
    runs.detailed(directory, "e/detailed")
    runs.diverging(directory, "f/seed")
    return directory


def test_cards_are_sorted_by_the_worst_and_have_a_picture(page):
    for run in ("a/healthy", "b/vanishing", "c/abnormal", "f/seed_b"):
        card(page, run)
    for run in ("d/blocks", "e/detailed", "f/seed_a"):
        card(page, run)
    names = frame_of(page).locator(".card .name").all_text_contents()
    worst = {"c/abnormal", "d/blocks", "e/detailed"}
    assert set(names[:3]) == worst
    assert names[3:] == ["b/vanishing", "a/healthy", "f/seed_a", "f/seed_b"]
    first = card(page, "c/abnormal")
    expect(first.locator(".verdict")).to_contain_text("2 errors")
    expect(card(page, "a/healthy").locator(".verdict")).to_have_text(
        "✓nothing found"
    )
    expect(first.locator("canvas.drawn")).to_be_visible()


@pytest.mark.in_tensorboard
def test_runs_have_the_colours_of_tensorboard(page, address):
    card(page, "a/healthy")
    order = page.request.get(f"{address}data/runs").json()
    for index, run in enumerate(order):
        color = card(page, run.removesuffix("/gradscope")).locator(".dot")
        red, green, blue = bytes.fromhex(PALETTE[index % 5][1:])
        if index < 5:
            expect(color).to_have_css(
                "background-color", f"rgb({red}, {green}, {blue})"
            )


def test_opening_a_run_starts_at_its_worst_finding(page):
    card(page, "c/abnormal")
    section = opened(page, "c/abnormal")
    expect(section.locator(".mark.chosen")).to_have_count(1)
    expect(frame_of(page).locator(".finding.chosen .head")).to_contain_text(
        "non-finite in dense_3"
    )
    # The cursor is on its first cell, and its statistic is chosen.
    expect(readout(page)).to_contain_text("step 80 · dense_3")
    expect(
        frame_of(page).get_by_role("button", name="non-finite", exact=True)
    ).to_have_attribute("aria-pressed", "true")
    press(page, "← all runs")
    expect(frame_of(page).locator(".heatmaps > section")).not_to_have_count(1)


def test_wheel_drag_and_keys_zoom_and_pan_all_heatmaps(page):
    card(page, "f/seed_b")
    frame = frame_of(page)
    frame.get_by_role("searchbox").fill("^f/")
    frame.get_by_role("checkbox", name="Show f/seed_b").check()
    first, second = (heatmap(page, f"f/seed_{n}") for n in "ab")
    assert ticks(first) == ticks(second) == (0, 199)
    cells = first.locator(".cells")
    cells.hover(position={"x": 200, "y": 40})
    # Without a key the page scrolls, and says how to zoom.
    page.mouse.wheel(0, -100)
    expect(first.locator(".wheel-hint")).to_be_visible()
    assert ticks(first) == (0, 199)
    page.keyboard.down("Control")
    for _ in range(6):
        page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    start, end = ticks_after(page, (0, 199), first, second)
    assert 0 < start < end < 199
    # Drag what is seen to the left: later steps come in sight.
    box = cells.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + 40, steps=4)
    page.mouse.up()
    expect(first.locator(".axis span").first).not_to_have_text(f"step {start}")
    assert ticks(first)[0] > start
    assert frame.locator(".detail").count() == 0, "a drag is no click"
    cells.focus()
    before = ticks(first)
    cells.press("Shift+ArrowLeft")
    expect(first.locator(".axis span").last).not_to_have_text(str(before[1]))
    cells.press("0")
    expect(first.locator(".axis span").last).to_have_text("199")
    cells.press("+")
    ticks_after(page, (0, 199), first, second)
    names = first.locator(".names span")
    expect(names).to_have_count(6)
    for _ in range(3):
        cells.press("r")
    expect(names).not_to_have_count(6)
    first.get_by_role("button", name="whole run").click()
    expect(names).to_have_count(6)


def test_a_zoom_takes_one_picture_a_frame(page):
    card(page, "a/healthy")
    cells = opened(page, "a/healthy").locator(".cells")
    draws = cells.evaluate(
        """async (cells) => {
          let draws = 0;
          const own = CanvasRenderingContext2D.prototype.putImageData;
          CanvasRenderingContext2D.prototype.putImageData = function (...all) {
            if (cells.contains(this.canvas)) draws += 1;
            return own.apply(this, all);
          };
          const box = cells.getBoundingClientRect();
          for (let i = 0; i < 30; i++) {
            cells.dispatchEvent(new WheelEvent("wheel", {deltaY: -20,
              ctrlKey: true, clientX: box.left + 9, cancelable: true}));
          }
          await new Promise((done) => setTimeout(done, 300));
          CanvasRenderingContext2D.prototype.putImageData = own;
          return draws;
        }"""
    )
    assert draws == 1


def test_a_folded_block_shows_one_row_and_nan_of_any(page):
    card(page, "d/blocks")
    section = opened(page, "d/blocks")
    press(page, "gradient norm")
    folds = section.locator(".names .fold")
    expect(folds).to_have_count(24)
    expect(folds.first).to_have_text("▸ stage_1 (4)")
    cells = section.locator(".cells")
    cells.focus()
    cells.press("Home")
    expect(section.locator("h2 small").first).to_contain_text(
        "of a folded block its largest layer, and NaN of any"
    )
    expect(folds.first).to_have_attribute(
        "title", "stage_1: drawn is stage_1/dense_1, one of 4 rows"
    )
    for _ in range(24):
        cells.press("ArrowUp")
    for step in range(33):
        expect(readout(page)).to_contain_text(f"step {step} · stage_1/dense_1")
        cells.press("ArrowRight")
    for _ in range(5):
        cells.press("ArrowDown")
    expect(readout(page)).to_contain_text("step 33 · stage_6/dense_3")
    expect(readout(page).locator(".value")).to_have_text("NaN")
    cells.press(" ")
    expect(section.locator(".names span")).to_have_text(
        ["dense_1", "dense_2", "dense_3", "dense_4"]
    )
    section.get_by_role("button", name="fold all", exact=True).click()
    expect(folds).to_have_count(24)
    folds.nth(2).click()
    expect(folds.nth(2)).to_have_text("▾ stage_3 (4)")
    section.get_by_role("button", name="fold all", exact=True).click()
    section.get_by_role("button", name="unfold all").click()
    expect(folds.first).to_have_text("▾ stage_1 (4)")
    expect(section.locator(".names span").first).to_contain_text("dense_")


def test_what_is_out_of_range_is_dotted_and_said(page):
    card(page, "b/vanishing")
    section = opened(page, "b/vanishing")
    press(page, "gradient norm")
    low = frame_of(page).get_by_label("smallest colour")
    low.fill("1e-4")
    low.press("Enter")
    colors = section.locator(".cells canvas").evaluate(
        """(canvas) => {
          const {data} = canvas.getContext("2d").getImageData(
            0, 0, canvas.width, 12);
          const found = new Set();
          for (let i = 0; i < data.length; i += 4) {
            found.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
          }
          return [...found].sort();
        }"""
    )
    assert colors == ["235,205,255", "68,1,84"]
    expect(frame_of(page).locator(".legend")).to_contain_text("below the scale")


def test_vanishing_is_a_slope_beside_the_heatmap(page):
    card(page, "b/vanishing")
    section = opened(page, "b/vanishing")
    expect(section.locator(".flow-title")).to_contain_text("by depth, step 0")
    xs = section.locator(".flow canvas").evaluate(
        """(canvas) => {
          const context = canvas.getContext("2d");
          const rows = 12;
          return Array.from({length: rows}, (_, row) => {
            const y = Math.floor((row + 0.5) * canvas.height / rows);
            const {data} = context.getImageData(0, y, canvas.width, 1);
            let best = -1;
            let most = 0;
            for (let x = 0; x < canvas.width; x++) {
              const [r, g, b] = data.subarray(4 * x, 4 * x + 3);
              const chroma = Math.max(r, g, b) - Math.min(r, g, b);
              if (data[4 * x + 3] > 200 && chroma > most) {
                most = chroma;
                best = x;
              }
            }
            return best;
          });
        }"""
    )
    assert all(a < b for a, b in itertools.pairwise(xs)), xs
    assert xs[-1] - xs[0] > 80


@pytest.mark.in_tensorboard
def test_a_click_shows_the_layer(page, logdir):
    card(page, "e/detailed")
    section = opened(page, "e/detailed")
    press(page, "Gradients")
    cells = section.locator(".cells")
    # The axis is drawn anew with its statistic.
    expect(section.locator(".names span")).to_have_count(3)
    cells.click(position={"x": 300, "y": 9})
    detail = section.locator(".detail")
    expect(detail.locator("h3")).to_have_text("layer dense_1 in e/detailed")
    titles = detail.locator(".chart:visible figcaption > b")
    expect(titles).to_have_text(
        [
            "histogram of gradients",
            "histogram of weights",
            "histogram of updates",
            "ratios",
            "norms",
            "relu: units by steps",
            "relu: shares",
        ],
        timeout=PATIENCE,
    )
    charts = detail.locator(".chart:visible")
    expect(charts.nth(5)).to_contain_text(
        re.compile(r"6 of 64 dead at step 39\d")
    )
    expect(charts.nth(3).locator(".key").first).to_contain_text(
        "update : weight"
    )
    # Zero is a row of its own, and the axis has both signs.
    axis = charts.nth(0).locator(".y-axis")
    expect(axis).to_contain_text("\N{MINUS SIGN}1e-3")
    expect(axis.get_by_text("1e-3", exact=True)).to_be_visible()
    # Charts have the step of the cursor.
    cells.focus()
    cells.press("End")
    record = gradscope.read(logdir / "e/detailed")
    ratio = record.by_layer("update_to_weight_ratio")[-1, 0]
    expect(charts.nth(3).locator(".key b").first).to_have_text(f"{ratio:.3g}")
    facts = detail.locator(".facts")
    expect(facts).to_contain_text("Dense")
    expect(facts.locator("tr").filter(has_text="units")).to_have_text("units32")
    expect(facts).to_contain_text("HeNormal")
    # Units that died are on top; where they were last above zero is marked.
    units = charts.nth(5).locator(".area")
    units.scroll_into_view_if_needed()
    units.hover(position={"x": units.bounding_box()["width"] - 9, "y": 3})
    expect(charts.nth(5).locator(".at-cursor")).to_contain_text(
        re.compile(r"unit \d+: dead, last above zero in step 14\d")
    )
    units.hover(position={"x": 9, "y": 3})
    expect(charts.nth(5).locator(".at-cursor")).not_to_contain_text("dead,")
    detail.locator("h3").press("Escape")
    expect(detail).to_have_count(0)
    expect(cells).to_be_focused()


def test_a_layer_without_a_model_says_how_to_tell_it(page):
    card(page, "a/healthy")
    section = opened(page, "a/healthy")
    cells = section.locator(".cells")
    cells.focus()
    cells.press("Home")
    cells.press("Enter")
    detail = section.locator(".detail")
    expect(detail).to_contain_text("This layer has no histograms")
    expect(detail.locator(".facts")).to_contain_text(
        "gradscope.wrap(optimizer, logdir, model=model)"
    )
    expect(detail.locator("h3")).to_be_focused()


def test_two_pinned_runs_are_compared(page):
    frame = frame_of(page)
    for name in "ab":
        card(page, f"f/seed_{name}")
        press(page, f"Pin f/seed_{name} to compare")
    press(page, "compare the pinned runs")
    expect(frame.locator(".parting p")).to_have_text(
        re.compile(
            r"Equal before step 80, where they part in dense_3: "
            r"[\d.]+ against [\d.]+, 2 times\."
        ),
        timeout=PATIENCE,
    )
    expect(frame.locator("section.heatmap")).to_have_count(3)
    press(page, "go there")
    expect(readout(page)).to_contain_text("ratio · step 80 · dense_3")
    expect(readout(page).locator(".value")).to_have_text("2")
    ratio = frame.locator(".comparison .cells canvas")
    left, right = ratio.evaluate(
        """(canvas) => [0.2, 0.9].map((x) => [...canvas.getContext("2d")
          .getImageData(x * canvas.width, 3, 1, 1).data].slice(0, 3))"""
    )
    assert min(left) > 225, "the same: the middle of the scale"
    assert right[0] > right[2] + 30, "larger: towards orange"
    press(page, "end the comparison")
    expect(frame.locator(".parting")).to_have_count(0)
