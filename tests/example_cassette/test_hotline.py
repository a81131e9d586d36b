"""A recorded call as a test, as `recorder pin` wrote it, with the application put in."""

import pytest
from hotline import ask


@pytest.mark.realtime_cassette("late_order")
def test_late_order(realtime_mock):
    """The hotline looks the order up and says when it comes."""
    answer = ask("Where is my order 427?")

    assert answer == "Here is what I found: shipped, arrives on Thursday"
    (call,) = realtime_mock.run.tool_calls
    assert (call.name, call.arguments) == ("order_status", {"order_id": "427"})
    assert call.output == "shipped, arrives on Thursday"
