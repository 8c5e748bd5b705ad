"""Pages: self-contained, escaped, complete."""

import base64
import re
from html.parser import HTMLParser

import pytest

from hepnn.errors import OutputError
from hepnn.page import Link, Page, PageTable, Section, Verdict, write_page

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Reader(HTMLParser):
    """Collects the addresses and the text of a page, and checks that its elements nest."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self):
        super().__init__()
        self.addresses, self.text, self.open, self.ids, self.names = [], "", [], set(), set()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        self.ids |= {value for name, value in attrs if name == "id"}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page(tmp_path):
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PIXEL)
    table = PageTable(
        "numbers", ("name", "value"), [(Link("part"), 0.123456), ("b", 12345), ("c", Verdict(False)), ("d", "<b>&")]
    )
    sections = [
        Section(
            "part", "**bold** `code` <script>alert(1)</script> [x](javascript:alert(1))", [table], {"a < b": picture}
        )
    ]
    return Page("a & b", "lead <i>", [table], sections)


@pytest.fixture
def read(page, tmp_path):
    reader = Reader()
    reader.feed(write_page(page, tmp_path / "page.html").read_text())
    return reader


def test_a_page_needs_nothing_but_itself(read):
    assert read.addresses
    assert all(address.startswith(("data:", "#")) for address in read.addresses)
    assert f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}" in read.addresses


def test_its_elements_nest_and_links_lead_somewhere(read):
    assert read.open == []
    assert {address[1:] for address in read.addresses if address.startswith("#")} == read.ids == {"part"}


def test_what_looks_like_html_is_shown_and_not_run(read):
    assert not {"script", "b", "i"} & read.names
    assert "<script>alert(1)</script>" in read.text
    assert "lead <i>" in read.text
    assert "<b>&" in read.text


def test_numbers_are_readable_and_markdown_is_rendered(read):
    assert {"strong", "code"} <= read.names
    for text in ("0.1235", "12,345", "missed"):
        assert text in read.text


def test_an_earlier_page_is_replaced_and_no_other_file_is_left(page, tmp_path):
    for _ in range(2):
        write_page(page, tmp_path / "page.html")
    assert {path.name for path in tmp_path.iterdir()} == {"page.html", "pixel.png"}


def test_a_page_that_cannot_be_written_is_an_output_error(page, tmp_path):
    with pytest.raises(OutputError, match=r"asked to write .*page.html; No such file"):
        write_page(page, tmp_path / "nowhere" / "page.html")


def test_the_page_tells_the_browser_to_load_nothing(page, tmp_path):
    text = write_page(page, tmp_path / "page.html").read_text()
    assert re.search(r"Content-Security-Policy\" content=\"default-src 'none'", text)
