"""Every view in both themes: axe-core finds nothing, and a picture is kept.

The pictures are in the folder that `GRADSCOPE_PICTURES` names, else in
pytest's own for temporary files; they are to be looked at.
"""

import os
import pathlib

import pytest
import runs
import trained_runs
from node_packages import tool
from playwright.sync_api import expect
from reader import PATIENCE, card, frame_of, heatmap, opened, press
from servers import tensorboard

THEMES = ["light", "dark"]


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    runs.healthy(directory, "mlp/healthy")
    runs.vanishing(directory, "mlp/vanishing")
    runs.abnormal(directory, "mlp/abnormal")
    runs.detailed(directory, "mlp/units")
    runs.diverging(directory, "pair/seed")
    runs.blocks(directory, "resnet")
    trained_runs.trained(directory, "fit/nan", nan_at=90)
    runs.replaced(directory, "fit/twice")
    return directory


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    chosen = os.environ.get("GRADSCOPE_PICTURES")
    folder = pathlib.Path(chosen or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def overview(page):
    heatmap(page, "mlp/abnormal")
    card(page, "pair/seed_b")
    frame_of(page).evaluate("window.scrollTo(0, 0)")


def one_run(page):
    opened(page, "mlp/vanishing")
    summary = frame_of(page).locator(".finding summary").first
    summary.click()


def abnormal(page):
    opened(page, "mlp/abnormal")
    press(page, "gradient norm")


def ratios(page):
    opened(page, "mlp/vanishing")
    press(page, "Weights and updates")
    press(page, "update : weight")


def folded(page):
    opened(page, "resnet")
    press(page, "gradient norm")


def units(page):
    opened(page, "mlp/units")
    press(page, "Units")


def layer(page):
    section = opened(page, "mlp/units")
    press(page, "Gradients")
    expect(section.locator(".names span")).to_have_count(3)
    section.locator(".cells").click(position={"x": 500, "y": 9})
    expect(section.locator(".chart:visible")).to_have_count(7)
    expect(section.locator(".facts")).to_contain_text("HeNormal")
    section.locator(".detail-head").evaluate(
        "(node) => window.scrollBy(0, node.getBoundingClientRect().top - 210)"
    )


def story(page):
    section = opened(page, "fit/nan")
    press(page, "gradient norm")
    expect(frame_of(page).locator(".lane.metric")).to_be_visible()
    frame_of(page).locator("header .marks-legend summary").click()
    section.get_by_role("button", name="by depth").click()
    frame_of(page).evaluate("scrollTo(0, 0)")


def two_trainings(page):
    section = opened(page, "fit/twice")
    expect(section.locator(".earlier")).to_be_visible()


def comparison(page):
    for name in "ab":
        press(page, f"Pin pair/seed_{name} to compare")
    press(page, "compare the pinned runs")
    expect(frame_of(page).locator(".parting p")).to_contain_text("part")


VIEWS = [
    overview,
    one_run,
    abnormal,
    ratios,
    folded,
    units,
    layer,
    story,
    two_trainings,
    comparison,
]


def complaints(frame):
    """Returns what axe-core finds, WCAG 2.1 A and AA and its best practices."""
    frame.evaluate((tool("axe-core") / "axe.min.js").read_text())
    found = frame.evaluate(
        """async () => {
          const {violations} = await axe.run(document, {runOnly: ["wcag2a",
            "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]});
          return violations.flatMap(({id, nodes}) => nodes.map(
            ({html, failureSummary}) => `${id}: ${html} ${failureSummary}`));
        }"""
    )
    return found


def look(page, frame, theme, picture):
    """Changes TensorBoard's theme, keeps a picture, and asks axe-core."""
    page.evaluate(
        "(dark) => document.body.classList.toggle('dark-mode', dark)",
        theme == "dark",
    )
    expect(frame.locator("html")).to_have_attribute("data-theme", theme)
    page.wait_for_timeout(700)
    page.screenshot(path=picture)
    assert "\n".join(complaints(frame)) == ""


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_axe_finds_nothing(page, pictures, view):
    frame = frame_of(page)
    overview(page)
    view(page)
    for theme in THEMES:
        look(page, frame, theme, pictures / f"{view.__name__}-{theme}.png")


def test_axe_finds_nothing_where_there_is_nothing(browser, tmp_path, pictures):
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    with tensorboard(tmp_path) as address:
        page.goto(f"{address}?darkMode=false#gradscope")
        frame = frame_of(page)
        expect(frame.locator(".notice pre")).to_be_visible(timeout=PATIENCE)
        for theme in THEMES:
            look(page, frame, theme, pictures / f"empty-{theme}.png")
    page.close()
