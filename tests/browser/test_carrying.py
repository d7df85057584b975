"""What is carried away, and where the page works: links, files, prefix, sizes,
keyboard."""

import csv
import io
import struct

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
    press,
    readout,
    ticks,
)
from servers import tensorboard

import gradscope


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    runs.healthy(directory, "a/healthy")
    runs.detailed(directory, "b/detailed")
    runs.diverging(directory, "c/seed", steps=100)
    return directory


def downloaded(page, button):
    """Returns the name and the bytes of what a button saves."""
    with page.expect_download() as told:
        button.click()
    return told.value.suggested_filename, told.value.path().read_bytes()


def png_size(content):
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", content[16:24])


def test_numbers_are_saved_exactly(page, logdir):
    section = heatmap(page, "a/healthy")
    name, content = downloaded(page, section.get_by_role("button", name="CSV"))
    assert name == "a_healthy-gradient_norm-layers.csv"
    lines = list(csv.reader(io.StringIO(content.decode())))
    record = gradscope.read(logdir / "a/healthy")
    assert lines[0] == ["row", *map(str, record.steps)]
    values = record.by_layer("gradient_norm")
    assert [line[0] for line in lines[1:]] == list(record.layers)
    for row, line in enumerate(lines[1:]):
        assert [float(x) for x in line[1:]] == pytest.approx(
            values[:, row], rel=1e-7
        )


@pytest.mark.in_tensorboard
def test_pictures_of_every_view_are_saved(page):
    card(page, "b/detailed")
    section = opened(page, "b/detailed")
    press(page, "Gradients")
    name, content = downloaded(page, section.get_by_role("button", name="PNG"))
    assert name.startswith("b_detailed-gradient") and name.endswith(".png")
    width, height = png_size(content)
    assert width > 1000 and height > 200
    _, whole = downloaded(
        page, frame_of(page).get_by_role("button", name="PNG of all")
    )
    assert png_size(whole)[1] > height
    section.locator(".cells").focus()
    section.locator(".cells").press("Enter")
    chart = section.locator(".chart").filter(has_text="histogram of gradients")
    expect(chart).to_be_visible(timeout=PATIENCE)
    name, content = downloaded(page, chart.get_by_role("button", name="PNG of"))
    assert name == "b_detailed-dense_1-dense_1_kernel-gradients.png"
    assert png_size(content)[0] > 300
    name, content = downloaded(page, chart.get_by_role("button", name="CSV of"))
    lines = content.decode().split("\r\n")
    assert lines[0].startswith("bucket,0,20,40,")
    assert any(line.startswith("exactly zero,100,100") for line in lines)
    norms = section.locator(".chart").filter(has_text="norms")
    _, content = downloaded(page, norms.get_by_role("button", name="CSV of"))
    assert content.startswith(b"step,gradient_norm,weight_norm,update_norm")


@pytest.mark.in_tensorboard
def test_a_link_restores_the_view(page, browser):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card(page, "b/detailed")
    section = opened(page, "b/detailed")
    press(page, "Weights and updates")
    press(page, "weight norm")
    # Keys have nothing to move to until the numbers are there.
    expect(section).not_to_contain_class("loading")
    cells = section.locator(".cells")
    cells.focus()
    cells.press("Home")
    expect(readout(page)).to_contain_text("step 0")
    cells.press("+")
    cells.press("Enter")
    expect(section.locator(".detail h3")).to_be_visible()
    seen = ticks(section)
    button = frame_of(page).get_by_role("button", name="Copy link")
    link = copied(page, button)
    other = browser.new_context().new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(link)
    section = heatmap(other, "b/detailed")
    frame = frame_of(other)
    expect(frame.locator(".heatmaps > section")).to_have_count(1)
    expect(frame.get_by_role("button", name="weight norm")).to_have_attribute(
        "aria-pressed", "true"
    )
    assert ticks(section) == seen != (0, 399)
    expect(section.locator(".detail h3")).to_have_text(
        "layer dense_1 in b/detailed"
    )
    expect(readout(other)).to_contain_text("step 0 · dense_1")
    other.context.close()


@pytest.mark.slow
def test_a_prefix_the_other_provider_and_sampled_steps(browser, logdir):
    flags = ["--path_prefix=/foo/bar", "--load_fast=false"]
    flags += ["--samples_per_plugin=gradscope=20"]
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    page.set_default_timeout(PATIENCE)
    with tensorboard(logdir, *flags) as address:
        assert "/foo/bar" in address
        page.goto(f"{address}#gradscope")
        card(page, "b/detailed")
        section = opened(page, "b/detailed")
        press(page, "Gradients")
        frame = frame_of(page)
        status = frame.locator(".runs footer")
        expect(status).to_contain_text("1 of 4 runs shown")
        expect(status).to_contain_text("20 of their 400 recorded steps")
        expect(status).to_contain_text(
            "TensorBoard sampled the others away: "
            "tensorboard --samples_per_plugin=gradscope=0 keeps all"
        )
        expect(status).to_contain_text("updated")
        section.locator(".cells").focus()
        section.locator(".cells").press("Enter")
        expect(section.locator(".facts")).to_contain_text("HeNormal")
        expect(section.locator(".chart:visible")).to_have_count(7)
    page.close()


@pytest.mark.parametrize("width", [1000, 1600, 3000])
def test_it_fits_a_notebook_and_a_wall(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    card(page, "b/detailed")
    section = heatmap(page, "a/healthy")
    frame = frame_of(page)
    assert frame.evaluate(
        "document.documentElement.scrollWidth <= window.innerWidth"
    )
    cells = section.locator(".cells").bounding_box()
    flow = section.locator(".flow").bounding_box()
    assert cells["width"] > 0.3 * width
    assert flow["x"] + flow["width"] <= width
    assert flow["height"] == pytest.approx(cells["height"], abs=1)
    # What is above leaves room for a heatmap.
    header = frame.locator("header").bounding_box()
    assert header["height"] < 180


@pytest.mark.in_tensorboard
def test_everything_is_reached_by_the_keyboard(page):
    card(page, "b/detailed")
    frame = frame_of(page)
    heatmap(page, "a/healthy")

    def focused():
        return frame.evaluate(
            """() => {
              const node = document.activeElement;
              return node.getAttribute("aria-label") ?? node.textContent;
            }"""
        )

    frame.get_by_role("searchbox").focus()
    seen = []
    for _ in range(200):
        page.keyboard.press("Tab")
        if not seen or seen[-1] != focused():
            seen.append(focused())
        if seen[-1].startswith("a/healthy: gradient norm"):
            break
    told = " | ".join(seen)
    for name in (
        "Show a/healthy",
        "Pin b/detailed to compare",
        "a/healthy",
        "gradient rms",
        "smallest colour",
        "fit",
        "Copy link that restores this view",
        "CSV",
    ):
        assert name in told, (name, seen)
    assert seen[-1].startswith("a/healthy: gradient norm"), seen
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(frame.locator(".detail h3")).to_be_focused()
    page.keyboard.press("Escape")
    expect(frame.locator(".detail")).to_have_count(0)
    assert focused().startswith("a/healthy: gradient norm")


def test_nothing_moves_where_motion_is_unwanted(page):
    page.emulate_media(reduced_motion="reduce")
    heatmap(page, "a/healthy")
    moving = frame_of(page).evaluate(
        """() => [...document.querySelectorAll("*")].filter((node) => {
          const style = getComputedStyle(node);
          return style.animationName !== "none"
            || (style.transitionDuration !== "0s"
              && style.transitionProperty !== "none");
        }).length"""
    )
    assert moving == 0
