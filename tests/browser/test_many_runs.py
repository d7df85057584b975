"""More runs than fit on a page: what is said holds for all of them."""

import re

import pytest
import runs
from playwright.sync_api import expect
from reader import PATIENCE, frame_of, heatmap

HEALTHY = 7


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory whose last two runs alone are broken."""
    directory = tmp_path_factory.mktemp("logs")
    for number in range(HEALTHY):
        runs.healthy(directory, f"a_healthy_{number}", layers=3, steps=60)
    runs.vanishing(directory, "y_vanishing", steps=100)
    runs.abnormal(directory, "z_abnormal")
    return directory


def diagnosed(page):
    """Returns the frame once all runs are diagnosed."""
    frame = frame_of(page)
    counts = frame.locator(".findings .counts")
    expect(counts).to_contain_text("error", timeout=PATIENCE)
    expect(counts).not_to_contain_text("being diagnosed", timeout=PATIENCE)
    return frame


def test_findings_are_counted_over_all_runs_and_the_worst_are_shown(page):
    frame = diagnosed(page)
    counts = frame.locator(".findings .counts")
    expect(counts).to_contain_text("2 errors")
    expect(counts).to_contain_text("in 2 of 9 runs")
    titles = frame.locator(".heatmaps > section h2 b")
    expect(titles).to_have_count(6)
    expect(titles.first).to_have_text("z_abnormal")
    expect(titles.nth(1)).to_have_text("y_vanishing")
    footer = frame.locator(".runs footer")
    expect(footer).to_contain_text("6 of 9 runs shown")
    expect(footer).to_contain_text(re.compile(r"\d+ of their \d+ recorded"))
    healthy = frame.locator(".healthy-runs")
    expect(healthy).to_contain_text("nothing found in a_healthy_0, ")
    expect(healthy).to_contain_text("and 2 more")


def test_nothing_is_said_to_be_healthy_beside_runs_that_are_not(page):
    frame = diagnosed(page)
    frame.get_by_role("button", name="a_healthy_3", exact=True).click()
    counts = frame.locator(".findings .counts")
    expect(counts).to_contain_text("nothing found")
    expect(counts).to_contain_text("2 errors, 1 warning in 2 other runs")
    expect(frame.locator(".findings section")).to_have_count(0)


def test_a_click_shows_a_run_that_is_not_shown(page):
    frame = diagnosed(page)
    frame.get_by_role("checkbox", name="Show z_abnormal").uncheck()
    titles = frame.locator(".heatmaps > section h2 b")
    expect(titles).to_have_count(5)
    title = frame.locator("h3 b", has_text=re.compile("^z_abnormal$"))
    section = frame.locator(".findings section").filter(has=title)
    expect(section.locator(".not-shown")).to_be_visible()
    section.locator(".finding .go").first.click()
    expect(section.locator(".not-shown")).to_be_hidden()
    expect(
        frame.get_by_role("checkbox", name="Show z_abnormal")
    ).to_be_checked()
    chosen = heatmap(page, "z_abnormal").locator(".mark.chosen")
    expect(chosen).to_have_count(1)
    expect(chosen).to_be_in_viewport()
