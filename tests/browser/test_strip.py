"""The story of a training above the heatmaps, and runs that are NaN."""

import re

import pytest
import runs
import trained_runs
from playwright.sync_api import expect
from reader import PATIENCE, card, frame_of, heatmap, opened, ticks


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory of runs with losses, and one without."""
    directory = tmp_path_factory.mktemp("logs")
    trained_runs.trained(directory, "a/fine")
    trained_runs.trained(directory, "b/nan", steps=200, nan_at=6)
    trained_runs.trained(directory, "d/scaled", scaled=True)
    runs.healthy(directory, "c/without", layers=4)
    return directory


def test_a_nan_run_is_red_and_says_so_first(page):
    frame = frame_of(page)
    line = "loss is NaN since step 6, first in the gradient of dense_4/bias"
    section = heatmap(page, "b/nan")
    expect(section.locator("h2 .alarm")).to_have_text(line, timeout=PATIENCE)
    listed = card(page, "b/nan")
    expect(listed.locator(".alarm")).to_have_text(line)
    red = frame.evaluate(
        """() => {
          const probe = document.createElement("i");
          probe.style.color = "var(--error)";
          document.body.append(probe);
          const {color} = getComputedStyle(probe);
          probe.remove();
          return color;
        }"""
    )
    expect(listed).to_have_css("border-left-color", red)
    expect(listed.locator(".alarm")).to_have_css("color", red)
    told = frame.locator(".findings section").first
    expect(told.locator("h3 .alarm")).to_have_text(line)
    expect(card(page, "a/fine").locator(".alarm")).to_be_hidden()


def lane(page, name):
    return frame_of(page).locator(f".lane.{name}")


def line_of(node):
    """Returns where a cursor's line is, in pixels from the left."""
    box = node.bounding_box()
    return box["x"] + box["width"] / 2


def test_curves_that_come_later_have_room_above_the_first_picture(page):
    held = []
    page.route("**/curves?*", lambda route: held.append(route))
    page.reload()
    frame = frame_of(page)
    drawn = frame.locator(".heatmap:not(.loading) .axis span").first
    expect(drawn).to_have_text(re.compile(r"^step \d"), timeout=PATIENCE)
    strip = frame.locator(".strip")
    expect(strip.locator(".lane.loss")).to_have_count(0)
    room = strip.bounding_box()["height"]
    assert room > 120 and held
    # The latest one is asked first, and lets those before it go.
    page.route("**/curves?*", lambda route: route.continue_())
    held[0].continue_()
    for name in ("loss", "metric", "global_gradient_norm", "learning_rate"):
        expect(lane(page, name)).to_be_visible(timeout=PATIENCE)
    # A learning rate that falls, as here, is the only lane without room.
    assert abs(strip.bounding_box()["height"] - room) < 45


def test_the_whole_story_is_above_the_heatmaps(page):
    heatmap(page, "b/nan")
    for name in ("loss", "metric", "global_gradient_norm", "learning_rate"):
        expect(lane(page, name)).to_be_visible(timeout=PATIENCE)
    expect(lane(page, "loss").locator(".lane-area")).to_have_attribute(
        "aria-label",
        "loss: loss of b/nan from 2.5 to NaN; loss of a/fine from 2.5 to 0.186;"
        " loss of d/scaled from 2.5 to 0.186; val_loss of b/nan from 2.3 to"
        " 1.03; val_loss of a/fine from 2.3 to 0.272; val_loss of d/scaled from"
        " 2.3 to 0.272",
    )
    expect(lane(page, "loss_scale")).to_be_visible()
    expect(frame_of(page).locator(".strip > summary")).to_contain_text(
        "3 steps skipped by the loss scale"
    )
    # A run without losses has heatmaps alone.
    assert "c/without" not in lane(page, "loss").inner_html()


def test_strip_and_heatmaps_have_one_axis_and_one_cursor(page):
    card(page, "a/fine")
    section = opened(page, "a/fine")
    area = lane(page, "loss").locator(".lane-area")
    cells = section.locator(".cells")
    expect(area).to_be_visible(timeout=PATIENCE)
    above, below = area.bounding_box(), cells.bounding_box()
    assert above["x"] == pytest.approx(below["x"], abs=1.5)
    assert above["width"] == pytest.approx(below["width"], abs=2)
    # The pointer on the strip moves the cursor of the heatmap, and back.
    area.hover(position={"x": above["width"] * 0.5, "y": 20})
    line = section.locator(".cells .line")
    expect(line).to_be_visible()
    own = area.locator(".lane-line")
    assert line_of(own) == pytest.approx(line_of(line), abs=12)
    expect(lane(page, "loss").locator(".lane-values b").first).to_have_text(
        "0.659"
    )
    cells.hover(position={"x": 3, "y": 9})
    expect(lane(page, "loss").locator(".lane-values b").first).to_have_text(
        f"{trained_runs.loss(1):.3g}"
    )
    heading = frame_of(page).locator(".strip .numbers")
    expect(heading).to_have_text("at step 1")
    # A zoom of one is that of both.
    area.hover(position={"x": above["width"] * 0.5, "y": 20})
    page.keyboard.down("Control")
    for _ in range(6):
        page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    expect(section.locator(".axis span").last).not_to_have_text("390")
    first, last = ticks(section)
    assert 0 < first < 200 < last < 390


def test_findings_are_spans_and_the_strip_folds(page):
    card(page, "b/nan")
    opened(page, "b/nan")
    frame = frame_of(page)
    span = frame.locator(".span.error").first
    expect(span).to_be_visible(timeout=PATIENCE)
    expect(span).to_have_attribute("title", "b/nan: non-finite in dense_4")
    box, area = span.bounding_box(), lane(page, "loss").locator(".lane-area")
    assert box["x"] - area.bounding_box()["x"] < 30
    frame.locator(".finding.chosen").first.wait_for()
    frame.get_by_role("searchbox").focus()
    span.click()
    expect(frame.locator(".marks .mark.chosen")).to_be_in_viewport()
    frame.locator(".strip > summary").click()
    expect(lane(page, "loss")).to_be_hidden()
    page.reload()
    strip = frame_of(page).locator(".strip")
    expect(strip).to_be_visible(timeout=PATIENCE)
    expect(lane(page, "loss")).to_be_hidden()
