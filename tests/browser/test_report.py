"""The report in Chromium: from disk, with the network off."""

import re

import pytest
import runs
from playwright.sync_api import expect

from gradscope import notebook
from gradscope.cli import main


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Returns a report of several runs."""
    directory = tmp_path_factory.mktemp("logs")
    runs.vanishing(directory)
    runs.detailed(directory, steps=200)
    runs.diverging(directory)
    runs.hostile(directory)
    runs.hostile(directory, name="</script><script>alert(1)</script>")
    path = directory / "report.html"
    assert main.main(["report", str(directory), "-o", str(path)]) == 0
    return path


@pytest.fixture
def open_report(browser):
    """Opens a report; at the end nothing may have gone wrong."""
    problems, contexts = [], []

    def open_report(path, scheme="light"):
        context = browser.new_context(
            offline=True,
            color_scheme=scheme,
            viewport={"width": 1440, "height": 900},
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(error))
        page.on("console", lambda message: problems.append(message.text))
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        page.on("request", lambda request: problems.extend(outside(request)))
        page.goto(path.as_uri())
        return page

    def outside(request):
        if not request.url.startswith(("data:", "blob:", "file:")):
            yield request.url
        elif request.url.startswith("file:") and ".html" not in request.url:
            yield request.url

    yield open_report
    for context in contexts:
        context.close()
    assert not problems


def heatmap(page, run):
    title = page.locator("h2 b", has_text=re.compile(f"^{re.escape(run)}$"))
    section = page.locator("section.heatmap").filter(has=title)
    section.scroll_into_view_if_needed()
    expect(section.locator(".axis span").first).to_have_text(
        re.compile(r"^step \d")
    )
    return section


def card(page, run):
    name = page.locator(".name", has_text=re.compile(f"^{re.escape(run)}$"))
    return page.locator(".card").filter(has=name)


def test_a_report_shows_the_runs_and_their_findings(open_report, path):
    page = open_report(path)
    heatmap(page, "vanishing")
    expect(card(page, "vanishing").locator(".verdict")).to_have_text(
        re.compile("1 warning")
    )
    expect(page.locator(".findings")).to_contain_text("vanishing-gradient")
    expect(page.locator("header.report")).to_contain_text("all recorded steps")
    expect(page).to_have_title(re.compile("^Gradscope: logs"))


def test_names_are_text_and_never_code(open_report, path):
    page = open_report(path)
    name = "</script><script>alert(1)</script>"
    card(page, name).get_by_role("button", name=name, exact=True).click()
    section = heatmap(page, name)
    expect(section).to_contain_text("<img src=x")


def test_a_layer_opens_with_its_histograms_and_units(open_report, path):
    page = open_report(path)
    card(page, "detailed").locator(".open").click()
    page.get_by_role("button", name="Gradients", exact=True).click()
    section = heatmap(page, "detailed")
    section.locator(".cells").focus()
    page.keyboard.press("Enter")
    detail = page.locator(".detail")
    expect(detail).to_contain_text("histogram of gradients")
    expect(detail).to_contain_text("units by steps")
    expect(detail).to_contain_text("norms")
    expect(detail.locator(".error")).to_have_text("")


def test_kernels_units_and_comparisons_are_there(open_report, path):
    page = open_report(path)
    page.get_by_role("button", name="kernels", exact=True).click()
    expect(heatmap(page, "vanishing")).to_contain_text("dense_1/kernel")
    for run in ("diverging_a", "diverging_b"):
        card(page, run).locator(".pin").click()
    page.get_by_role("button", name="compare the pinned runs").click()
    expect(page.locator(".comparison")).to_contain_text(
        "Equal before step 80, where they part in dense_3"
    )


@pytest.mark.parametrize(
    "scheme, background",
    [("light", "rgb(255, 255, 255)"), ("dark", "rgb(48, 48, 48)")],
)
def test_a_report_is_as_light_as_the_browser(
    open_report, path, scheme, background
):
    page = open_report(path, scheme)
    heatmap(page, "vanishing")
    expect(page.locator("body")).to_have_css("background-color", background)


def test_a_thinned_report_says_what_it_left_out(open_report, tmp_path):
    runs.deep(tmp_path, layers=160, steps=600)
    path = tmp_path / "report.html"
    main.main(["report", str(tmp_path), "-o", str(path), "--max-mb", "1"])
    page = open_report(path)
    heatmap(page, "deep")
    page.locator("header.report summary").click()
    head = page.locator("header.report")
    expect(head).to_contain_text("Each run is thinned out")
    expect(head).to_contain_text("Numbers are rounded to three digits")
    expect(page.locator(".findings")).to_contain_text("600 recorded steps")
    page.get_by_role("button", name="variables", exact=True).click()
    expect(page.locator("section.heatmap")).to_contain_text(
        "gradscope report --max-mb"
    )


def test_the_view_of_one_report_is_not_that_of_another(
    open_report, path, tmp_path
):
    page = open_report(path)
    page.get_by_role("button", name="gradient rms").click()
    heatmap(page, "vanishing")
    page.reload()
    heatmap(page, "vanishing")
    chosen = page.get_by_role("button", name="gradient rms")
    expect(chosen).to_have_attribute("aria-pressed", "true")
    runs.one_step(tmp_path)
    other = tmp_path / "other.html"
    main.main(["report", str(tmp_path), "-o", str(other)])
    page.goto(other.as_uri())
    heatmap(page, "one_step")
    expect(chosen).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize(
    "marks, background",
    [
        ("<body data-jp-theme-light='false'>", "rgb(48, 48, 48)"),
        ("<body data-jp-theme-light='true'>", "rgb(255, 255, 255)"),
        ("<body class='vscode-dark'>", "rgb(48, 48, 48)"),
        ("<html theme='dark'>", "rgb(48, 48, 48)"),
    ],
)
def test_in_a_cell_the_page_is_as_dark_as_the_notebook(
    open_report, tmp_path, marks, background
):
    runs.one_step(tmp_path)
    bundle = notebook._bundle(str(tmp_path), height=600, max_mb=4)
    cell = tmp_path / "cell.html"
    cell.write_text(f"<!doctype html>{marks}{bundle['text/html']}")
    frame = open_report(cell).frame_locator("iframe")
    expect(frame.locator(".heatmap .axis span").first).to_have_text("step 0")
    expect(frame.locator("body")).to_have_css("background-color", background)
