"""Ctrl-C takes effect after compiled code, never in it, and is never lost."""

import signal
import threading

import joblib
import pytest

from adaptwin.interruption import Outputs, deaf_children, held_back, let_through


def press():
    signal.raise_signal(signal.SIGINT)
    return "done"


def test_ctrl_c_takes_effect_after_the_call():
    seen = []
    with pytest.raises(KeyboardInterrupt):
        held_back(lambda: seen.append(press()))
    assert seen == ["done"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_is_not_lost_in_an_error():
    with pytest.raises(KeyboardInterrupt) as caught:
        held_back(lambda: press() and 1 / 0)
    assert isinstance(caught.value.__context__, ZeroDivisionError)


def test_it_can_be_let_through_earlier():
    seen = []

    def work():
        press()
        let_through()
        seen.append("too late")

    with pytest.raises(KeyboardInterrupt):
        held_back(work)
    assert seen == []
    held_back(let_through)  # nothing is held back any more


def test_a_call_inside_leaves_it_to_the_outer_one():
    seen = []
    with pytest.raises(KeyboardInterrupt):
        held_back(lambda: seen.append(held_back(press)))
    assert seen == ["done"]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None])
def test_the_handler_of_the_caller_decides(handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        assert held_back(press) == "done"
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_are_left_alone():
    found = []
    thread = threading.Thread(target=lambda: found.append(held_back(signal.getsignal, signal.SIGINT)))
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


def test_children_do_not_see_ctrl_c_only_inside_the_block():
    with deaf_children():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_workers_do_not_see_ctrl_c():
    with deaf_children():
        masks = joblib.Parallel(n_jobs=2, batch_size=1, return_as="generator")(
            joblib.delayed(signal.pthread_sigmask)(signal.SIG_BLOCK, ()) for _ in range(4)
        )
    assert all(signal.SIGINT in mask for mask in masks)


def test_what_was_written_is_said_in_a_few_words():
    outputs = Outputs()
    assert str(outputs) == ", nothing written"
    for name in ("a", "b"):
        outputs.note(name)
    assert str(outputs) == "; written: a, b"
    for number in range(3):
        outputs.note(f"c{number}")
    assert str(outputs) == "; written: a, b, c0 and 2 more"
    outputs.clear()
    assert str(outputs) == ", nothing written"
