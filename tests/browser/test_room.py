"""Names, scale and room: what is read at a glance."""

import itertools
import re

import pytest
import runs
from playwright.sync_api import expect
from reader import card, frame_of, heatmap, opened, press, readout


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    runs.healthy(directory, "a/healthy")
    runs.vanishing(directory, "b/vanishing")
    runs.detailed(directory, "c/detailed")
    runs.hostile(directory, "d/long")
    return directory


def test_the_curve_by_depth_has_names_and_room(page):
    card(page, "b/vanishing")
    section = opened(page, "b/vanishing")
    panel = section.locator(".profile")
    expect(panel).to_be_hidden()
    section.get_by_role("button", name="by depth").click()
    expect(panel.locator("h3")).to_contain_text("by depth, step 0")
    expect(panel.locator(".profile-names span")).to_have_text(
        [f"dense_{n}" for n in range(1, 13)]
    )
    box = panel.locator(".profile-area").bounding_box()
    assert box["width"] > 600 and box["height"] == 12 * 14
    cells = section.locator(".cells")
    cells.focus()
    cells.press("End")
    expect(panel.locator("h3")).to_contain_text("by depth, step 390")
    panel.get_by_role("button", name="close").click()
    expect(panel).to_be_hidden()


def test_names_show_their_layers(page):
    card(page, "b/vanishing")
    section = opened(page, "b/vanishing")
    section.locator(".names").get_by_text("dense_3", exact=True).click()
    detail = section.locator(".detail")
    expect(detail.locator("h3")).to_have_text("layer dense_3 in b/vanishing")
    item = frame_of(page).locator(".finding").first
    link = item.locator(".what .layer").last
    assert link.locator("code").text_content() == "dense_12"
    link.focus()
    link.press("Enter")
    expect(detail.locator("h3")).to_have_text("layer dense_12 in b/vanishing")
    item.locator(".head .layer").click()
    expect(detail.locator("h3")).to_have_text("layer dense_1 in b/vanishing")


def test_the_scale_is_fitted_where_all_is_of_one_colour(page):
    card(page, "a/healthy")
    section = opened(page, "a/healthy")
    frame = frame_of(page)
    low = frame.get_by_label("smallest colour")
    expect(low).not_to_have_value("1e-8")
    frame.get_by_role("button", name="fitted; fixed scale").click()
    expect(low).to_have_value("1e-8")
    frame.get_by_role("button", name="reset").click()
    expect(low).not_to_have_value("1e-8")
    # Beside the picture two digits help, above it all of them.
    section.locator(".cells").hover(position={"x": 300, "y": 9})
    brief = section.locator("h2 .value").text_content()
    exact = readout(page).locator(".value").text_content()
    assert len(brief) <= 4 < len(exact)
    assert float(brief) == pytest.approx(float(exact), rel=0.06)


def test_a_run_without_such_rows_is_one_line_and_marks_open_on_demand(page):
    card(page, "a/healthy")
    press(page, "Dropout and batch norm")
    section = heatmap(page, "c/detailed")
    frame = frame_of(page)
    title = frame.locator("h2 b", has_text=re.compile("^a/healthy$"))
    empty = frame.locator("section.heatmap").filter(has=title)
    expect(empty.locator(".message")).to_have_text("This run has no dropout.")
    assert empty.bounding_box()["height"] < 30
    expect(section.locator(".cells")).to_be_visible()
    marks = frame.locator("header .marks-legend")
    expect(marks.locator("ul")).to_be_hidden()
    marks.locator("summary").click()
    for text in ("NaN", "not recorded", "an error", "a warning", "a note"):
        expect(marks.get_by_text(text, exact=True)).to_be_visible()


def test_the_first_heatmap_is_high_up_in_a_small_window(page):
    page.set_viewport_size({"width": 1000, "height": 736})
    card(page, "b/vanishing")
    heatmap(page, "b/vanishing")
    frame = frame_of(page)
    frame.evaluate("scrollTo(0, 0)")
    top = frame.locator(".heatmaps .cells").first.bounding_box()["y"]
    assert top < 400
    assert frame.locator("header").bounding_box()["height"] < 120


def test_in_a_small_window_values_and_the_ends_of_names_are_whole(page):
    page.set_viewport_size({"width": 1000, "height": 736})
    card(page, "b/vanishing")
    section = heatmap(page, "b/vanishing")
    cells = section.locator(".cells")
    cells.focus()
    cells.press("End")
    line = readout(page)
    expect(line).to_contain_text("step 390")
    is_cut = "(node) => node.scrollWidth > node.clientWidth"
    assert line.locator(".place").first.evaluate(is_cut)
    assert not line.locator(".name").evaluate(is_cut)
    value, box = line.locator(".value").bounding_box(), line.bounding_box()
    assert value["x"] > box["x"]
    assert value["x"] + value["width"] <= box["x"] + box["width"] + 1
    # No run has numbers for the strip to head.
    strip = frame_of(page).locator(".strip")
    expect(strip).to_be_visible()
    expect(strip.locator(".numbers")).to_be_hidden()
    ticks = frame_of(page).locator(".ticks span:visible")
    lefts = [tick.bounding_box() for tick in ticks.all()]
    for left, right in itertools.pairwise(lefts):
        assert left["x"] + left["width"] < right["x"]
    names = heatmap(page, "d/long").locator(".names button")
    expect(names).to_have_count(3)
    for name in names.all():
        end = name.locator(".end").bounding_box()
        room = name.bounding_box()
        assert end["x"] + end["width"] <= room["x"] + room["width"] + 1
        assert not name.locator(".end").evaluate(is_cut)
        assert name.locator("i").first.evaluate(is_cut)
