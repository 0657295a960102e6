"""Which calls a normalisation takes in: by the path that values went, not by how many layers there are."""

from __future__ import annotations

from gradclinic.instrument.core import Call
from gradclinic.instrument.stream import Stream


def call():
    return Call([1.0], 1, [0])


def test_a_normalisation_takes_in_every_call_of_the_sum_that_it_reads():
    stream, first, branch = Stream(), call(), call()
    stream.made("a", first)
    stream.made("b", branch)
    stream.added(("a", "b"), "sum")
    stream.normalized("sum", 3.0)
    assert (first.normalized_at, branch.normalized_at) == (3.0, 3.0)


def test_the_first_normalisation_that_reads_a_call_is_noted_and_later_ones_only_what_is_new():
    stream, first, branch = Stream(), call(), call()
    stream.made("a", first)
    stream.normalized("a", 3.0)
    stream.made("b", branch)
    stream.added(("a", "b"), "sum")
    stream.normalized("sum", 5.0)
    assert (first.normalized_at, branch.normalized_at) == (3.0, 5.0)
    stream.normalized("never met", 7.0)


def test_a_value_in_another_form_is_still_that_value_until_a_function_bends_it():
    for bent, wanted in ((False, 3.0), (True, None)):
        stream, made = Stream(), call()
        stream.made("a", made)
        stream.kept("a", "dropped out", bent=bent)
        stream.normalized("dropped out", 3.0)
        assert made.normalized_at == wanted


def test_what_is_not_said_to_be_bent_is_not():
    stream, made = Stream(), call()
    stream.made("a", made)
    stream.kept("a", "moved")
    stream.normalized("moved", 3.0)
    assert made.normalized_at == 3.0


def test_a_value_that_is_added_to_itself_again_and_again_is_walked_once():
    """Sixty times: 2^60 ways lead back to it."""
    stream, made = Stream(), call()
    stream.made(0, made)
    for i in range(60):
        stream.added((i, i), i + 1)
    stream.normalized(60, 3.0)
    assert made.normalized_at == 3.0


def test_a_sum_stays_a_stream_in_every_form():
    stream = Stream()
    stream.made("a", call())
    assert stream.known("a")
    assert not stream.known("b")
    assert not stream.streams("a")
    assert not stream.streams("b")
    stream.added(("a", "from outside"), "sum")
    stream.kept("sum", "moved")
    stream.kept("sum", "bent", bent=True)
    stream.kept("a", "other")
    stream.kept("b", "never")
    assert [stream.streams(key) for key in ("sum", "moved", "bent", "other")] == [True, True, True, False]
    assert not stream.known("never")


def test_a_layer_that_hands_on_what_it_took_keeps_what_is_known_of_it():
    """An identity returns its input, so that both have one key; so does an operation in place."""
    stream, first, second = Stream(), call(), call()
    stream.made("a", first)
    stream.made("a", second)
    assert not stream.streams("a")
    stream.kept("a", "a", bent=True)  # nothing is forgotten
    stream.normalized("a", 2.0)
    assert (first.normalized_at, second.normalized_at) == (2.0, 2.0)
    stream.added(("a", "a"), "sum")
    stream.made("sum", call())
    assert stream.streams("sum")
