"""The thread that looks after what is recorded."""

import gc
import subprocess
import sys
import threading
import weakref

import pytest

from gradscope.recording import background

WAIT = 20  # seconds that nothing here takes


class Item:
    """Counts what the thread does; `enough` is set after two ticks."""

    def __init__(self, error=None):
        self.ticks, self.closed, self.error = 0, 0, error
        self.enough = threading.Event()
        self.done = threading.Event()

    def tick(self):
        self.ticks += 1
        if self.ticks == 2:
            self.enough.set()
        if self.error:
            raise self.error

    def close(self):
        self.closed += 1
        self.done.set()
        if self.error:
            raise self.error


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(background, "INTERVAL", 0.01)
    yield
    thread = background._thread
    for item in list(background._watched):
        background.forget(item)
    if thread is not None:
        thread.join(WAIT)


def test_items_are_looked_after_until_they_are_forgotten():
    items = [Item(), Item()]
    for item in items:
        background.watch(item)
    assert all(item.enough.wait(WAIT) for item in items)
    thread = background._thread
    assert thread.daemon
    for item in items:
        background.forget(item)
    thread.join(WAIT)
    assert not thread.is_alive()
    assert background._thread is None


def test_the_thread_starts_again_after_its_end():
    for _ in range(2):
        item = Item()
        background.watch(item)
        assert item.enough.wait(WAIT)
        thread = background._thread
        background.forget(item)
        thread.join(WAIT)


def test_there_is_one_thread_for_all():
    items = [Item() for _ in range(5)]
    for item in items:
        background.watch(item)
    assert all(item.enough.wait(WAIT) for item in items)
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("gradscope") == 1


def test_an_item_is_not_kept_alive():
    item = Item()
    background.watch(item)
    assert item.enough.wait(WAIT)
    thread, dead = background._thread, weakref.ref(item)
    del item
    thread.join(WAIT)
    gc.collect()
    assert dead() is None


def test_what_another_thread_is_just_closing_is_closed_when_it_is_asked_for():
    class Slow:
        def __init__(self):
            self.begun, self.may_end = threading.Event(), threading.Event()
            self.is_closed = False

        def close(self):
            self.begun.set()
            assert self.may_end.wait(WAIT)
            self.is_closed = True

    item = Slow()
    background.retire(item)
    thread = threading.Thread(target=background.close_retired)
    thread.start()
    assert item.begun.wait(WAIT)
    threading.Timer(0.2, item.may_end.set).start()
    background.close_retired()
    assert item.is_closed
    thread.join(WAIT)


def test_forgetting_an_unknown_item_is_nothing():
    background.forget(Item())


def test_an_item_that_fails_is_one_warning_and_stops_no_other():
    bad, good = Item(OSError("disk is gone")), Item()
    with pytest.warns(UserWarning) as warned:
        background.watch(bad)
        background.watch(good)
        assert good.enough.wait(WAIT)
        thread = background._thread
        background.forget(good)
        thread.join(WAIT)
    (warning,) = warned
    assert "failed in the background: OSError('disk is gone')" in str(
        warning.message
    )
    assert "call `gradscope.flush()`" in str(warning.message)
    assert bad.ticks == 1


def test_retired_items_are_closed_by_the_thread():
    other, retired = Item(), Item()
    background.watch(other)
    background.retire(retired)
    assert retired.done.wait(WAIT)
    assert retired.closed == 1


def test_a_warning_that_is_an_error_does_not_end_the_thread(capsys):
    bad, good = Item(OSError("disk is gone")), Item()
    background.watch(bad)
    background.watch(good)
    assert good.enough.wait(WAIT)
    assert "OSError('disk is gone')" in capsys.readouterr().err


AT_EXIT = """
from gradscope.recording import background

class Item:
    def __init__(self, name): self.name = name
    def tick(self): pass
    def close(self):
        print(self.name, "closed")
        if self.name == "bad": raise OSError

items = [Item("bad"), Item("watched")]
for item in items: background.watch(item)
background.retire(Item("retired"))
"""


def test_what_is_left_is_closed_at_interpreter_exit():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AT_EXIT],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(done.stdout.splitlines()) == [
        "bad closed",
        "retired closed",
        "watched closed",
    ]


FORKED = """
import os
from gradscope.recording import background

class Item:
    def tick(self): pass
    def close(self): print("closed by", os.getpid() == parent, flush=True)

parent = os.getpid()
item = Item()
background.watch(item)
child = os.fork()
if child: os.waitpid(child, 0)
"""


def test_a_forked_worker_closes_nothing():
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["closed by True"]
