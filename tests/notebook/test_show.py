"""`gradscope.show`, with a stand-in for the notebook's cell."""

import html
import re
import time

import pytest
import runs

import gradscope
from gradscope import notebook


class Cell:
    """Stands for a notebook's cell: keeps what was displayed last."""

    def __init__(self):
        self.shown = []

    def display(self, bundle, raw, display_id=None):
        assert raw
        self.shown.append(bundle)
        return self

    def update(self, bundle, raw):
        self.display(bundle, raw)


@pytest.fixture
def cell(monkeypatch):
    cell = Cell()
    monkeypatch.setattr(notebook, "_display", lambda: cell.display)
    monkeypatch.setattr(notebook, "_EVERY", 0.01)
    monkeypatch.setattr(notebook, "_REST", 0)
    return cell


def waits_for(condition):
    for _ in range(1000):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_the_cell_holds_the_whole_page(cell, tmp_path):
    runs.vanishing(tmp_path)
    assert gradscope.show(tmp_path / "vanishing") is None
    (bundle,) = cell.shown
    frame = bundle["text/html"]
    (page,) = re.findall(r'<iframe srcdoc="([^"]*)"', frame)
    assert html.unescape(page).startswith("<!doctype html>")
    assert "<title>Gradscope: vanishing</title>" in html.unescape(page)
    assert "height:820px" in frame
    run = tmp_path / "vanishing"
    assert bundle["text/plain"] == (
        f"gradscope: 1 run of {run}, all recorded steps"
    )


def test_without_a_run_there_is_nothing_to_show(cell, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no run below .* may begin"):
        gradscope.show(tmp_path)


def test_outside_of_a_notebook_there_are_other_ways(tmp_path):
    with pytest.raises(RuntimeError, match="gradscope report LOGDIR"):
        gradscope.show(tmp_path)


def test_a_page_that_follows_is_drawn_again_when_the_run_grows(cell, tmp_path):
    following = gradscope.show(tmp_path, follow=True)
    assert "waits for the first recorded steps" in cell.shown[0]["text/plain"]
    assert repr(following) == f"<following: {tmp_path}>"
    runs.one_step(tmp_path)
    assert waits_for(lambda: "1 run of" in cell.shown[-1]["text/plain"])
    runs.one_step(tmp_path, name="other")
    assert waits_for(lambda: "2 runs of" in cell.shown[-1]["text/plain"])
    following.stop()
    assert repr(following) == f"<stopped: {tmp_path}>"
    runs.one_step(tmp_path, name="third")
    count = len(cell.shown)
    following.stop()
    assert len(cell.shown) == count


def test_a_page_is_not_drawn_again_without_a_new_step(cell, tmp_path):
    runs.one_step(tmp_path)
    following = gradscope.show(tmp_path, follow=True)
    assert not following.update()
    following.stop()
    assert len(cell.shown) == 2


def test_a_cell_that_runs_again_replaces_the_page_before(cell, tmp_path):
    runs.one_step(tmp_path)
    first = gradscope.show(tmp_path, follow=True)
    second = gradscope.show(str(tmp_path), follow=True)
    assert "stopped" in repr(first) and "following" in repr(second)
    second.stop()


def test_following_ends_after_a_silence(cell, tmp_path, monkeypatch):
    monkeypatch.setattr("gradscope.reading.growth.SILENCE", 0.02)
    runs.one_step(tmp_path)
    following = gradscope.show(tmp_path, follow=True)
    assert waits_for(lambda: "stopped" in repr(following))
