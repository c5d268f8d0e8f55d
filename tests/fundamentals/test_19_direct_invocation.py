"""A program that wants an answer calls a trigger directly. Nothing is queued or tried again: the caller decides."""

import pytest
from tests.fundamentals.conftest import Bundle

from showground.errors import ShowgroundError
from showground.testing.playground import Playground

PATH = "/api/v1/communities/playground/apps/sums/invoke/com.example.Sum"
CODE = """
    import time

    from showground import Devvit

    @Devvit.add_trigger("com.example.Sum")
    def add(event, context):
        if event.numbers == "forever":
            time.sleep(60)
        return sum(event.numbers)
"""


async def test_the_answer_is_what_the_handler_returned(bundle: Bundle, playground: Playground) -> None:
    """One HTTP request, one call of the worker."""
    await playground.install(bundle("sums", CODE))
    assert await playground.host.call("POST", PATH, json={"numbers": [1, 2, 39]}) == 42


async def test_an_error_of_the_app_is_told_to_the_caller(bundle: Bundle, playground: Playground) -> None:
    """With a code from one table, and the traceback in the app's log."""
    await playground.install(bundle("sums", CODE))
    with pytest.raises(ShowgroundError) as failed:
        await playground.host.call("POST", PATH, json={"numbers": ["one", 2]})
    assert failed.value.code == "app_error"
    assert "TypeError" in failed.value.message


async def test_the_caller_sets_a_deadline_and_it_holds(bundle: Bundle, playground: Playground) -> None:
    """A handler that does not end by itself is ended."""
    await playground.install(bundle("sums", CODE))
    await playground.host.call("POST", PATH, json={"numbers": [1]})  # the first call waits for a worker, too
    with pytest.raises(ShowgroundError) as late:
        await playground.host.call("POST", PATH + "?timeout=0.3", json={"numbers": "forever"})
    assert late.value.code == "deadline_exceeded"
