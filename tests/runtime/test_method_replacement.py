"""Standing in for a method leaves no trace but what is asked for."""

import copy

import tensorflow as tf

from gradscope.runtime.method_replacement import MethodReplacement


class Owner:
    def __init__(self, number=1):
        self.number = number

    def add(self, other):
        return self.number + other


def test_it_takes_the_place_and_gives_it_back():
    owner, other = Owner(), Owner()
    before = dict(vars(owner))
    replacement = MethodReplacement(
        owner, "add", lambda x: 10 * replacement.original(x)
    )
    assert not replacement.installed and owner.add(2) == 3
    replacement.install()
    assert replacement.installed and owner.add(2) == 30
    assert other.add(2) == 3
    replacement.remove()
    replacement.remove()
    assert owner.add(2) == 3 and vars(owner) == before


def test_what_somebody_put_there_before_comes_back():
    owner = Owner()
    theirs = owner.add = lambda x: -x
    replacement = MethodReplacement(
        owner, "add", lambda x: replacement.original(x) + 1
    )
    replacement.install()
    assert owner.add(5) == -4
    replacement.remove()
    assert owner.add is theirs


def test_what_somebody_put_there_later_stays():
    owner = Owner()
    replacement = MethodReplacement(owner, "add", lambda x: 0)
    replacement.install()
    owner.add = lambda x: 7
    replacement.remove()
    assert owner.add(1) == 7


def test_a_copy_of_the_owner_has_its_own_method():
    owner = Owner()
    MethodReplacement(owner, "add", lambda x: 0).install()
    copied = copy.deepcopy(owner)
    copied.number = 5
    assert owner.add(1) == 0 and copied.add(1) == 6


def test_autograph_converts_the_method_and_not_the_stand_in():
    class Absolute(Owner):
        def add(self, other):
            if other < 0:  # a tensor: only AutoGraph can do this
                other = -other
            return other

    owner = Absolute()
    replacement = MethodReplacement(
        owner, "add", lambda x: replacement.original(x) + 1
    )
    replacement.install()
    compiled = tf.function(lambda x: owner.add(x))
    assert compiled(tf.constant(-3)) == 4
