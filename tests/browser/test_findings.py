"""The panel of findings in a real TensorBoard, with a real browser."""

import re

import numpy as np
import pytest
import runs
from playwright.sync_api import expect
from reader import PATIENCE, card, copied, frame_of, heatmap, reload_until

import gradscope

# A panel that waits for new steps asks every ten seconds, then draws.
LIVE = 20_000


def fading(described, steps):
    """Returns numbers of a run whose gradient gets lost."""
    rows = len(described.variables)
    levels = np.repeat(10.0 ** -np.linspace(7.5, 0.5, rows // 2), 2)
    return runs.statistics(runs.noisy(range(steps), rows, levels))


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory with healthy and with broken runs."""
    directory = tmp_path_factory.mktemp("logs")
    runs.healthy(directory, "a/healthy")
    runs.vanishing(directory, "b/vanishing")
    runs.abnormal(directory, "c/abnormal")
    described = runs.network(4, name=runs.HOSTILE)
    numbers = fading(described, 60)
    runs.write(directory, "d/<i>hostile</i>", described, range(60), numbers)
    return directory


def finding(page, run, kind):
    """Returns the item of a finding, once it is there."""
    title = frame_of(page).locator(
        "h3 b", has_text=re.compile(f"^{re.escape(run)}$")
    )
    section = frame_of(page).locator(".findings section").filter(has=title)
    item = section.locator(".finding").filter(has_text=kind)
    expect(item).to_be_visible(timeout=PATIENCE)
    return item


def test_the_worst_run_comes_first_and_is_counted(page):
    finding(page, "c/abnormal", "non-finite")
    finding(page, "d/<i>hostile</i>", "vanishing-gradient")
    panel = frame_of(page).locator(".findings")
    expect(panel.locator("h3 b")).to_have_text(
        ["c/abnormal", "b/vanishing", "d/<i>hostile</i>"], timeout=PATIENCE
    )
    expect(panel.locator(".counts span.error")).to_contain_text("2 errors")
    expect(panel.locator(".counts span.warning")).to_contain_text("2 warnings")
    expect(panel.locator(".counts")).to_contain_text("in 3 of 4 runs")


@pytest.mark.parametrize("run", ["b/vanishing", "c/abnormal"])
def test_findings_are_told_as_on_the_command_line(page, logdir, run):
    for found in gradscope.diagnose(logdir / run):
        item = finding(page, run, found.kind)
        expect(item.locator(".head")).to_contain_text(
            f"{found.severity}: {found.kind} in {found.layer}, {found.since}"
        )
        expect(item.locator(".what")).to_have_text(
            f"{found.what}.".replace("`", "")
        )
        item.locator("summary").click()
        told = item.locator(".more").evaluate(
            """(more) => {
              const copy = more.cloneNode(true);
              copy.querySelectorAll("button").forEach((one) => one.remove());
              return [...copy.querySelectorAll("p, tbody th")]
                .map((node) => node.textContent);
            }"""
        )
        assert told == [
            f"Why: {found.cause}".replace("`", ""),
            f"What to do: {found.remedy}".replace("`", ""),
            *(
                name.replace("_", " ")
                for name, value in found.to_dict()["evidence"].items()
                if value is not None and not name.endswith("_limit")
            ),
        ]


def test_a_healthy_run_says_that_nothing_was_found(page, logdir):
    count = len(gradscope.read(logdir / "a/healthy").steps)
    frame = frame_of(page)
    line = frame.locator(".findings .healthy-runs")
    expect(line).to_have_text(
        f"✓a/healthy: nothing found in {count} recorded steps",
        timeout=PATIENCE,
    )
    assert line.bounding_box()["height"] < 30
    frame.get_by_role("searchbox").fill("healthy")
    expect(frame.locator(".counts")).to_have_text("✓nothing found")


def test_a_click_goes_to_the_cells(page, logdir):
    heatmap(page, "c/abnormal")
    item = finding(page, "c/abnormal", "zero-gradient")
    frame = frame_of(page)
    frame.get_by_role("button", name="gradient size").click()
    item.locator(".go").focus()
    item.locator(".go").press("Enter")
    button = frame.get_by_role("button", name="gradient norm", exact=True)
    expect(button).to_have_attribute("aria-pressed", "true")
    section = heatmap(page, "c/abnormal")
    mark = section.locator(".mark.chosen")
    expect(mark).to_have_count(1)
    expect(item.locator(".go")).to_have_attribute("aria-current", "true")
    cells = section.locator(".cells").bounding_box()
    box = mark.bounding_box()
    # dense_1 is zero from step 30 to 120, of an axis of 400 steps.
    # The line is around them.
    assert box["y"] == pytest.approx(cells["y"] - 3, abs=0.6)
    assert box["height"] == pytest.approx(18 + 6, abs=0.6)
    left = cells["x"] + cells["width"] * 30 / 400
    assert box["x"] == pytest.approx(left - 3, abs=0.6)
    assert box["width"] == pytest.approx(cells["width"] * 90 / 400 + 6, abs=1)
    # It is in sight, and not below what stays at the top.
    header = frame.locator("header").bounding_box()
    assert box["y"] >= header["y"] + header["height"]
    assert box["y"] + box["height"] <= page.viewport_size["height"]


def test_all_findings_of_a_run_are_outlined(page):
    section = heatmap(page, "c/abnormal")
    finding(page, "c/abnormal", "zero-gradient")
    expect(section.locator(".mark.error")).to_have_count(2)
    expect(section.locator(".mark.chosen")).to_have_count(0)
    expect(heatmap(page, "b/vanishing").locator(".mark.warning")).to_have_count(
        1
    )
    expect(heatmap(page, "a/healthy").locator(".mark")).to_have_count(0)


def pixel_of(canvas):
    """Return the colour of its first pixel: red, green, blue."""
    return canvas.evaluate(
        """(canvas) => [...canvas.getContext('2d')
            .getImageData(0, 0, 1, 1).data].slice(0, 3)"""
    )


def test_a_heatmap_says_what_its_cells_without_a_number_are(page):
    section = heatmap(page, "c/abnormal")
    kinds = section.locator(".kinds > span")
    expect(kinds).to_have_text(
        ["exactly zero", "NaN", "infinite", "no gradient"]
    )
    swatch = kinds.last.locator("canvas")
    expect(swatch).to_be_visible()
    assert pixel_of(swatch) == [128, 131, 139]
    page.evaluate("document.body.classList.add('dark-mode')")
    expect(frame_of(page).locator("html")).to_have_attribute(
        "data-theme", "dark"
    )
    # The title is drawn with the next frame.
    page.wait_for_timeout(100)
    assert pixel_of(swatch) == [110, 113, 122]
    page.evaluate("document.body.classList.remove('dark-mode')")
    healthy = heatmap(page, "a/healthy")
    expect(healthy.locator(".kinds > span")).to_have_count(0)
    expect(card(page, "a/healthy").locator(".thumbnail")).to_have_attribute(
        "title", "gradient norm of each layer over all steps, input at the top"
    )


def test_names_in_findings_are_text(page):
    item = finding(page, "d/<i>hostile</i>", "vanishing-gradient")
    expect(item.locator(".head")).to_contain_text(runs.HOSTILE.format(1))
    assert item.locator("img, i:not(.sign)").count() == 0
    assert frame_of(page).locator(".findings h3 i:not(.sign)").count() == 0


@pytest.mark.in_tensorboard
def test_code_can_be_copied(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    item = finding(page, "c/abnormal", "zero-gradient")
    summary = item.locator("summary")
    summary.focus()
    summary.press("Enter")
    code = item.locator(".copied code").first
    expect(code).to_be_visible()
    button = item.locator(".copy").first
    assert copied(page, button) == code.text_content() != ""
    expect(button).to_have_text("copy")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_are_legible_and_severities_have_shapes(page, theme):
    finding(page, "b/vanishing", "vanishing-gradient")
    item = finding(page, "c/abnormal", "zero-gradient")
    item.locator("summary").click()
    if theme == "dark":
        page.evaluate("document.body.classList.add('dark-mode')")
    frame = frame_of(page)
    expect(frame.locator("html")).to_have_attribute("data-theme", theme)
    worst = frame.evaluate(CONTRASTS)
    page.evaluate("document.body.classList.remove('dark-mode')")
    assert len(worst) > 20
    assert {k: v for k, v in worst.items() if v < 4.5} == {}
    shapes = frame.evaluate(
        """() => ["error", "warning"].map((severity) => getComputedStyle(
          document.querySelector(`.sign.${severity}`)).clipPath)"""
    )
    assert "polygon" in shapes[0] and shapes[0] != shapes[1]


# Of each element of the panel with a text of its own the contrast.
CONTRASTS = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    const color = parse(getComputedStyle(node).backgroundColor);
    return color[3] === 0 ? behind(node.parentElement) : color;
  };
  const found = {};
  for (const node of document.querySelectorAll(".findings *")) {
    const own = [...node.childNodes].filter((child) =>
      child.nodeType === 3 && child.data.trim());
    if (!own.length) continue;
    const pair = [parse(getComputedStyle(node).color), behind(node)]
      .map(light).sort((a, b) => b - a);
    const name = `${node.tagName}.${node.className} ${own[0].data}`;
    found[name] = (pair[0] + 0.05) / (pair[1] + 0.05);
  }
  return found;
}"""


def test_the_panel_is_compact_scrolls_and_folds(page):
    page.set_viewport_size({"width": 1200, "height": 864})
    finding(page, "d/<i>hostile</i>", "vanishing-gradient")
    frame = frame_of(page)
    height = frame.evaluate("innerHeight")
    panel = frame.locator(".findings")
    assert panel.bounding_box()["height"] <= 0.36 * height
    assert panel.locator(".body").evaluate(
        "(body) => body.scrollHeight > body.clientHeight"
    )
    summary = panel.locator("> summary")
    summary.focus()
    summary.press("Enter")
    expect(panel.locator(".body")).to_be_hidden()
    expect(panel.locator(".counts")).to_contain_text("2 errors")
    frame.wait_for_function(
        "() => JSON.parse(localStorage['gradscope.view']).folded"
    )
    page.reload()
    panel = frame_of(page).locator(".findings")
    expect(panel.locator(".counts")).to_contain_text(
        "2 errors", timeout=PATIENCE
    )
    expect(panel.locator(".body")).to_be_hidden()
    panel.locator("> summary").click()
    expect(panel.locator(".body")).to_be_visible()


@pytest.mark.parametrize("name", ["findings", "strip"])
def test_what_is_drawn_just_after_a_click_does_not_undo_it(page, name):
    finding(page, "d/<i>hostile</i>", "vanishing-gradient")
    frame = frame_of(page)
    part = frame.locator(f"details.{name}")
    expect(part).to_be_visible(timeout=PATIENCE)
    # The browser tells of the click a task later; the page draws before.
    part.evaluate(
        """(part) => {
          part.querySelector("summary").click();
          const search = document.querySelector("[type=search]");
          search.value = "a";
          search.dispatchEvent(new Event("input", {bubbles: true}));
        }"""
    )
    page.wait_for_timeout(100)
    assert not part.evaluate("(part) => part.open")


@pytest.mark.parametrize(
    "name, key", [("findings", "folded"), ("strip", "stripFolded")]
)
def test_a_fold_is_remembered_right_behind_the_click(page, name, key):
    finding(page, "d/<i>hostile</i>", "vanishing-gradient")
    part = frame_of(page).locator(f"details.{name}")
    expect(part).to_be_visible(timeout=PATIENCE)
    # Behind the click and before any other task, as a reload would be one.
    assert part.evaluate(
        """(part, key) => {
          part.querySelector("summary").click();
          return Promise.resolve().then(() =>
            JSON.parse(localStorage["gradscope.view"])[key]);
        }""",
        key,
    )


@pytest.mark.in_tensorboard
@pytest.mark.slow
def test_what_is_open_stays_open_while_a_run_grows(page, logdir):
    described = runs.network(4)
    numbers = fading(described, 120)
    runs.write(logdir, "growing", described, range(60), numbers[:60])
    frame = frame_of(page)
    item = frame.locator(".runs li").filter(has_text="growing")
    reload_until(page, item, "60 steps")
    found = finding(page, "growing", "vanishing-gradient")
    found.locator("summary").click()
    found.evaluate("(node) => { node.isTheSame = true; }")
    section = frame.locator(".findings section").filter(has_text="growing")
    expect(section.locator("h3")).to_contain_text("in 60 recorded steps")
    answered = []

    def note(response):
        # Before there is an answer it is 202, ask again.
        if "findings?" in response.url and response.status == 200:
            answered.append(response)

    page.on("response", note)
    runs.write(logdir, "growing", described, range(60, 120), numbers[60:])
    reload_until(page, item, "120 steps")
    expect(section.locator("h3")).to_contain_text(
        "in 120 recorded steps", timeout=LIVE
    )
    expect(found.locator("details")).to_have_attribute("open", "")
    assert found.evaluate("(node) => node.isTheSame")
    # The other runs have not changed.
    assert len(answered) == 1 and "growing" in answered[0].url
