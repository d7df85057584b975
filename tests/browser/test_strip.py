"""The story of a training above the heatmaps, and runs that are NaN."""

import pytest
import runs
import trained_runs
from playwright.sync_api import expect
from reader import PATIENCE, card, frame_of, heatmap


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory of runs with losses, and one without."""
    directory = tmp_path_factory.mktemp("logs")
    trained_runs.trained(directory, "a/fine")
    trained_runs.trained(directory, "b/nan", steps=200, nan_at=6)
    runs.healthy(directory, "c/without", layers=4)
    return directory


def test_a_nan_run_is_red_and_says_so_first(page):
    frame = frame_of(page)
    line = "loss is NaN since step 6, first in the gradient of dense_4/bias"
    section = heatmap(page, "b/nan")
    expect(section.locator("> .alarm")).to_have_text(line, timeout=PATIENCE)
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
    expect(told.locator("> .alarm")).to_have_text(line)
    expect(card(page, "a/fine").locator(".alarm")).to_be_hidden()
