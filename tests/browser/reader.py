"""What the tests do on the page, as a reader would."""

import re

from playwright.sync_api import expect

# With TensorFlow installed TensorBoard takes up to 10 s to start, and twice
# that next to other tests; Playwright's own limit is 5 s.
PATIENCE = 30_000


def frame_of(page):
    """Returns our frame once the page is built."""
    if "plugin_entry" in page.url:
        page.wait_for_selector(".page", timeout=PATIENCE)
        return page.main_frame
    page.wait_for_selector("iframe[src*='plugin_entry']", state="attached")
    for _ in range(PATIENCE // 100):
        for frame in page.frames:
            if "plugin_entry" in frame.url and frame.query_selector(".page"):
                return frame
        page.wait_for_timeout(100)
    raise AssertionError("the page did not appear")


def heatmap(page, run):
    """Returns the section of a run, drawn, and with what was found of it:
    findings that come later move what is below them."""
    frame = frame_of(page)
    title = frame.locator("h2 b", has_text=re.compile(f"^{re.escape(run)}$"))
    section = frame.locator("section.heatmap").filter(has=title)
    # Only what is in sight is asked for.
    expect(section).to_be_attached(timeout=PATIENCE)
    section.scroll_into_view_if_needed()
    # The axis is drawn right after the picture.
    expect(section.locator(".axis span").first).to_have_text(
        re.compile(r"^step \d"), timeout=PATIENCE
    )
    # At first there is a picture of some steps.
    expect(section.locator(".axis em")).not_to_contain_text(
        "being loaded", timeout=PATIENCE
    )
    if frame.locator(".card").count():
        card(page, run)
    return section


def readout(page):
    return frame_of(page).locator(".readout")


def card(page, run):
    """Returns a run's card, once it says what was found."""
    frame = frame_of(page)
    name = frame.locator(".name", has_text=re.compile(f"^{re.escape(run)}$"))
    found = frame.locator(".card").filter(has=name)
    expect(found.locator(".verdict")).not_to_have_text(
        "being diagnosed…", timeout=PATIENCE
    )
    return found


def opened(page, run):
    """Opens a run alone; returns its heatmap."""
    frame = frame_of(page)
    frame.get_by_role("button", name=run, exact=True).click()
    expect(frame.locator(".heatmaps > section")).to_have_count(1)
    return heatmap(page, run)


def press(page, name):
    frame_of(page).get_by_role("button", name=name, exact=True).click()


def copied(page, button):
    """Presses a button that copies; returns what it copied."""
    button.click()
    expect(button).to_have_text("copied")
    return page.evaluate("navigator.clipboard.readText()")


def ticks(section):
    """Returns the first and the last step that is seen."""
    labels = section.locator(".axis span").all_text_contents()
    return int(labels[0].removeprefix("step ")), int(labels[-1])


def ticks_after(page, before, *sections):
    """Returns what all of them see, once it is no longer what was before."""
    for _ in range(PATIENCE // 100):
        seen = {ticks(section) for section in sections}
        if len(seen) == 1 and seen != {before}:
            break
        page.wait_for_timeout(100)  # They are drawn a frame after each other.
    assert len(seen) == 1 and seen != {before}, seen
    return seen.pop()


def reload_until(page, item, text):
    """Presses TensorBoard's reload button until the run list says so."""
    for _ in range(PATIENCE // 1000):
        page.locator("button.reload-button").click()
        page.wait_for_timeout(1000)
        if item.count() and text in item.first.inner_text():
            return
    raise AssertionError(f"{text!r} did not appear")
