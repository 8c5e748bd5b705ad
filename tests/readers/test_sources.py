"""Sources: file, tree, glob, folder, list and URL."""

import builtins
import http.server
import threading
from functools import partial

import pytest

from hepnn import read_jets
from hepnn.errors import DependencyError, SourceError
from hepnn.readers.sources import Location, locate
from tests.readers.test_reading import columns, same, write


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("root://host:1094//store/file.root", Location("root://host:1094//store/file.root", None)),
        ("root://host:1094//store/file.root:tree", Location("root://host:1094//store/file.root", "tree")),
        ("root://host:1094//a.root.d/file.root:dir/tree", Location("root://host:1094//a.root.d/file.root", "dir/tree")),
        ("https://host:8443/file.root", Location("https://host:8443/file.root", None)),
        ("https://host/file.parquet", Location("https://host/file.parquet", None)),
        ("https://host/file.root?token=a:b", Location("https://host/file.root?token=a:b", None)),
    ],
)
def test_addresses_with_colons(source, expected):
    assert locate(source) == [expected]


def test_a_file_whose_name_has_a_colon(tmp_path):
    path = write(tmp_path / "run:7.root", columns(3))
    assert locate(path) == [Location(str(path), None)]
    assert locate(f"{path}:tree") == [Location(str(path), "tree")]
    assert len(read_jets(f"{path}:tree")) == 3


def test_a_file_without_a_suffix_can_have_a_tree(tmp_path):
    path = write(tmp_path / "jets.root", columns(3)).rename(tmp_path / "jets")
    assert locate(f"{path}:tree") == [Location(str(path), "tree")]


def test_numbers_in_names_count_as_numbers(tmp_path):
    names = ["jets_2.root", "jets_10.root", "jets_1.root"]
    for name in names:
        (tmp_path / name).touch()
    expected = [str(tmp_path / f"jets_{number}.root") for number in (1, 2, 10)]
    assert [location.file for location in locate(tmp_path)] == expected
    assert [location.file for location in locate(f"{tmp_path}/jets_*.root:tree")] == expected
    assert {location.tree for location in locate(f"{tmp_path}/jets_*.root:tree")} == {"tree"}
    # a list keeps its order
    assert [location.file for location in locate([tmp_path / name for name in names])] == [
        str(tmp_path / name) for name in names
    ]


def test_a_local_address_is_a_file(tmp_path):
    path = write(tmp_path / "jets.root", columns(3))
    assert locate(f"file://{path}") == [Location(str(path), None)]


@pytest.mark.parametrize(
    ("address", "package", "extra"),
    [("root://host//file.root", "fsspec_xrootd", "xrootd"), ("https://host/file.root", "aiohttp", "http")],
)
def test_a_missing_protocol_says_how_to_install_it(address, package, extra, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyError, match=rf"is missing. Install it with pip install 'hepnn\[{extra}\]'"):
        read_jets(address)


@pytest.fixture
def server(tmp_path):
    """A web server on this machine that can give parts of files, for the folder of the test."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = tmp_path / self.path.lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            data = path.read_bytes()
            part = self.headers.get("Range")
            first, last = 0, len(data) - 1
            if part:
                left, _, right = part.removeprefix("bytes=").partition("-")
                first, last = int(left), min(int(right or last), last)
            self.send_response(206 if part else 200)
            self.send_header("Content-Length", str(last - first + 1))
            self.send_header("Accept-Ranges", "bytes")
            if part:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            self.end_headers()
            self.wfile.write(data[first : last + 1])

        def log_message(self, *args):
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()
    thread.join()


def test_a_file_on_a_web_server(server, tmp_path):
    pytest.importorskip("aiohttp")
    path = write(tmp_path / "jets.root", columns(30))
    same(read_jets(f"{server}/jets.root"), read_jets(path))
    same(read_jets(f"{server}/jets.root:tree"), read_jets(path))


def test_a_file_that_a_web_server_lacks_is_named(server):
    pytest.importorskip("aiohttp")
    with pytest.raises(SourceError, match=r"asked to read http://127.0.0.1:\d+/nope.root"):
        read_jets(f"{server}/nope.root")


def test_unfinished_files_in_a_folder_are_not_taken(tmp_path):
    for name in ("a.root", ".b.root.1f2e.part.root"):
        (tmp_path / name).write_bytes(b"root")
    assert locate(tmp_path) == [Location(str(tmp_path / "a.root"), None)]
