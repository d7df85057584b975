"""The documentation is built as a site, and leads nowhere wrong."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def test_the_site_is_built_without_a_warning_and_asks_no_other(tmp_path):
    """A link within the site that leads nowhere is a warning."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "-q"]
    done = subprocess.run(
        [*command, ROOT / "docs", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    api = (tmp_path / "api.html").read_text(encoding="utf-8")
    for name in ("wrap", "Callback", "read", "diagnose", "compare", "probe"):
        assert f'class="sig-name descname"><span class="pre">{name}<' in api
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'src="http' not in text and "@import" not in text, page.name
        assert 'rel="stylesheet" type="text/css" href="http' not in text
