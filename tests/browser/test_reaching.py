"""What is out of sight, or was sampled away, in a real TensorBoard."""

import re

import numpy as np
import pytest
import runs
from playwright.sync_api import expect
from reader import PATIENCE, frame_of, heatmap
from servers import tensorboard

from gradscope.recording import event_writer

# So many runs do not fit on a screen.
HEALTHY = 5


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory of some healthy runs, two broken ones, and one
    with many histograms."""
    directory = tmp_path_factory.mktemp("logs")
    for number in range(HEALTHY):
        runs.healthy(directory, f"c_healthy_{number}", layers=24)
    # A note or a warning comes before no finding, and an error before both.
    runs.vanishing(directory, "b_vanishing", layers=24)
    runs.abnormal(directory, "a_abnormal")
    return directory


@pytest.fixture(scope="module")
def address(logdir):
    """Yields the address of a TensorBoard that keeps few histograms."""
    many_histograms(logdir)
    flags = "--samples_per_plugin=histograms=5"
    with tensorboard(logdir, flags) as found:
        yield found


def many_histograms(logdir):
    """Writes a run with twenty histograms of each variable, and ratios."""
    described = runs.network(1)
    histograms = runs.histograms(described, every=1)

    def panels(step):
        return histograms(step) + [
            event_writer.scalar_value(
                f"ratios/{v.name}/gradient_to_weight", 0.1
            )
            for v in described.variables
        ]

    numbers = runs.statistics(runs.noisy(range(20), 2, 0.5))
    runs.write(
        logdir, "d_histograms", described, range(20), numbers, panels=panels
    )


def in_sight(section):
    """Returns whether some of an element is within its frame's window."""
    return section.evaluate(
        """(node) => {
          const box = node.getBoundingClientRect();
          return box.top < innerHeight && box.bottom > 0;
        }"""
    )


def finding_of(frame, run):
    """Returns the first finding of a run, once it is there."""
    title = frame.locator("h3 b", has_text=re.compile(f"^{run}$"))
    section = frame.locator(".findings section").filter(has=title)
    item = section.locator(".finding .go").first
    expect(item).to_be_visible(timeout=PATIENCE)
    return item


@pytest.mark.in_tensorboard
def test_a_click_on_a_finding_brings_a_run_into_sight(page):
    frame = frame_of(page)
    title = frame.locator("h2 b", has_text=re.compile("^b_vanishing$"))
    section = frame.locator("section.heatmap").filter(has=title)
    item = finding_of(frame, "b_vanishing")
    expect(section.locator(".mark")).to_have_count(1, timeout=PATIENCE)
    frame.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(300)
    assert not in_sight(section)
    # The panel lists it although its heatmap is far above.
    item.evaluate("(node) => node.click()")
    chosen = section.locator(".mark.chosen")
    expect(chosen).to_have_count(1)
    expect(chosen).to_be_in_viewport()
    assert in_sight(section)


def test_what_is_out_of_sight_is_asked_for_once_its_finding_is_clicked(page):
    frame = frame_of(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    name = re.compile("^b_vanishing$")
    item = finding_of(frame, "b_vanishing")
    section = frame.locator("section.heatmap").filter(
        has=frame.locator("h2 b", has_text=name)
    )
    # All worse runs are pushed aside: what is left of it is its place.
    frame.evaluate(
        """() => {
          const spacer = document.createElement("div");
          spacer.style.height = "4000px";
          document.querySelector(".heatmaps").before(spacer);
        }"""
    )
    page.wait_for_timeout(300)
    assert not in_sight(section)
    frame.get_by_role("button", name="gradient rms", exact=True).click()
    page.wait_for_timeout(500)
    # Nothing that cannot be seen is asked for.
    seen = [url for url in asked if "statistic=gradient_rms" in url]
    assert not [url for url in seen if "b_vanishing" in url]
    item.evaluate("(node) => node.click()")
    chosen = section.locator(".mark.chosen")
    expect(chosen).to_have_count(1, timeout=PATIENCE)
    expect(chosen).to_be_in_viewport()


def test_histograms_that_were_sampled_away_are_told(page):
    frame = frame_of(page)
    frame.get_by_role("button", name="d_histograms", exact=True).click()
    section = heatmap(page, "d_histograms")
    section.locator(".cells").press("Enter")
    chart = section.locator(".chart").filter(has_text="histogram of weights")
    expect(chart).to_contain_text(
        "5 of 20 recorded histograms shown", timeout=PATIENCE
    )
    expect(chart).to_contain_text("--samples_per_plugin=histograms=1000")


def test_runs_come_in_the_order_of_their_findings(page):
    frame = frame_of(page)
    heatmap(page, "a_abnormal")
    names = frame.locator(".runs .card .name")
    expect(names.first).to_have_text("a_abnormal", timeout=PATIENCE)
    assert names.count() == HEALTHY + 3
    assert np.unique(names.all_text_contents()).size == HEALTHY + 3
