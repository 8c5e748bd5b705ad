"""A network with graphs or functions of its own is refused by its bytes, before ONNX Runtime sees it."""

import pytest

from hepnn.graphs import refuse_loops


@pytest.mark.parametrize(
    "content", [b"\xba\x80\x80\x80\x10\x00", b"\x3a\x05abc", b"\x3f"], ids=["number", "short", "kind"]
)
def test_what_readers_could_understand_in_several_ways_is_refused(content):
    """The first is field 7, the graph, for who keeps 32 bits of its number only."""
    with pytest.raises(ValueError, match=r"ends early|not as in an ONNX model"):
        refuse_loops(content)
