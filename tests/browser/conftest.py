"""A browser on a real TensorBoard."""

import pytest
from playwright.sync_api import sync_playwright
from reader import PATIENCE, frame_of
from servers import tensorboard

from tools import chromium

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

HOSTED = "?darkMode=false#gradscope"
ALONE = "data/plugin_entry.html?name=gradscope"
STYLE = "data/plugin/gradscope/static/style.css"

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(event.violatedDirective + " " + event.blockedURI);
});
"""


@pytest.fixture(scope="module")
def address(logdir):
    """Yields the address of `tensorboard` on the module's log directory."""
    with tensorboard(logdir) as found:
        yield found


@pytest.fixture(scope="session")
def browser():
    """Yields one Chromium for all tests of a worker."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.path(), args=ARGUMENTS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser):
    """Yields what pages share: TensorBoard's own files are fetched once."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(request, context, address):
    """Yields our page; at the end nothing may have gone wrong.

    It is opened as TensorBoard's frame has it, which takes a third of the time,
    and inside of TensorBoard's own page for tests marked `in_tensorboard`.
    """
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    # What the last page remembered, which it may write until it is closed.
    page.goto(f"{address}{STYLE}")
    page.evaluate("localStorage.clear()")
    problems = []
    page.on("pageerror", lambda error: problems.append(f"thrown: {error}"))
    page.on("console", lambda message: problems.extend(complaint(message)))
    page.on(
        "request", lambda request: problems.extend(outside(request, address))
    )
    page.add_init_script(WATCH)
    hosted = request.node.get_closest_marker("in_tensorboard")
    page.goto(f"{address}{HOSTED if hosted else ALONE}")
    yield page
    problems += frame_of(page).evaluate("window.violations")
    page.close()
    assert not problems


def complaint(message):
    """Yields an error on the console; TensorBoard's own are not ours."""
    if message.type == "error" and "gradscope" in str(message.location):
        yield f"{message.text} {message.location}"


def outside(request, address):
    """Yields a request of our frame to anywhere but TensorBoard."""
    ours = "plugin_entry" in request.frame.url
    if ours and not request.url.startswith(address):
        yield f"request to {request.url}"
