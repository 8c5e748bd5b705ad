"""ROOT files: TTrees and RNTuples, checked before anything is read, then read branch by branch in steps of entries.

Branches are read by their exact names: uproot's own expressions would evaluate aliases that are stored in a file.
ATLAS writes ``AnalysisJetsAuxDyn.pt`` in a TTree and ``AnalysisJetsAuxDyn:pt`` in an RNTuple, where a dot parts a
record from its members; here it is a dot in both.
"""

from __future__ import annotations

import contextlib
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import uproot
import xxhash

from hepnn.errors import SourceError
from hepnn.readers import sources
from hepnn.readers.baskets import Baskets
from hepnn.readers.tables import Details, Table, choose_tree, damaged, parsing
from hepnn.threads import default_threads, keep_freed_memory

__all__ = ["details", "open_table", "read_steps"]

_VERSION_AND_BEGIN = struct.Struct(">4sii")
"""Magic bytes, version, position of the first record: https://root.cern/doc/master/classTFile.html."""
_LARGE_FILE_VERSION = 1_000_000
"""From this version on, positions have 8 bytes."""
_FORMATS = {"TTree": "ttree", "TNtuple": "ttree", "TNtupleD": "ttree", "ROOT::RNTuple": "rntuple"}
CHECKSUMS: dict[str, str] = {
    "ZLIB": "Adler-32 of every compressed basket",
    "LZMA": "CRC-32 of every compressed basket",
    "LZ4": "XXH64 of every compressed basket",
}
"""What lets uproot notice damage: compression, and the checksum that goes with it. ZSTD in ROOT files has none."""
_CHECKSUM_BYTES = 8
"""At the end of an RNTuple envelope: XXH3."""


def _check_bytes(file: str) -> None:
    """Refuses what is no ROOT file, or one that was cut short: such a file can open, and lack entries."""
    size, head = sources.size_and_head(file)
    if len(head) < 20 or head[:4] != b"root":
        raise SourceError(f"asked to read {file}; its first bytes are {head[:4]!r}, a ROOT file starts with b'root'.")
    _, version, _ = _VERSION_AND_BEGIN.unpack(head[: _VERSION_AND_BEGIN.size])
    end = struct.unpack(">q", head[12:20])[0] if version >= _LARGE_FILE_VERSION else struct.unpack(">i", head[12:16])[0]
    if size < end:
        raise SourceError(
            f"asked to read {file}; it has {size} bytes and should have {end}: the copy was cut short. Copy it again."
        )


@contextlib.contextmanager
def _opened(file: str) -> Iterator[Any]:
    """Opens a ROOT file; whatever its parser raises is a `SourceError`."""
    settings = sources.options(file) if sources.is_remote(file) else {}
    # a cache would keep up to 100 MB of what is read only once
    with parsing(file), uproot.open({file: None}, array_cache=None, **settings) as root:
        yield root


def _branches(tree: Any) -> dict[str, Any]:
    """Returns the branches by name; those that share one, by path."""
    if not hasattr(tree, "branches"):
        # not tree.keys(), which takes half a minute for the thousand fields of an ATLAS file
        return {_path(field): field for field in tree.all_fields if field.path}
    by_path = dict(tree.iteritems(recursive=True, full_paths=True))
    names = Counter(branch.name for branch in by_path.values())
    return {branch.name if names[branch.name] == 1 else path: branch for path, branch in by_path.items()}


def _path(field: Any) -> str:
    path: str = field.path
    return path.replace(":.", ".").replace(":", ".")


def open_table(file: str, *, tree: str | None, candidates: Iterable[str] = ()) -> Table:
    """Returns the tree to read in ``file``, checked.

    Args:
        file: path or URL.
        tree: its name; None for one of ``candidates``, or the only one there.
        candidates: names to try in turn.

    Raises:
        SourceError: no such tree, several to choose from, or the file is damaged.
    """
    _check_bytes(file)
    with _opened(file) as root:
        names = _trees(root)
        beside = ", ".join(root.keys(cycle=False))
        wanted = choose_tree(file, names, tree=tree, candidates=candidates, beside=beside)
        handle = root[wanted]
        types = {name: str(branch.typename) for name, branch in _branches(handle).items()}
        if _FORMATS[names[wanted]] == "rntuple":
            _check_page_lists(file, handle)
        n_entries = int(handle.num_entries)
        if n_entries < 0:
            raise SourceError(f"asked to read {file}; {wanted} has {n_entries} entries: it is damaged. Restore it.")
        return Table(file, wanted, n_entries, types, _FORMATS[names[wanted]])


def _check_page_lists(file: str, ntuple: Any) -> None:
    """Refuses an ntuple whose page lists do not have their checksum, which uproot does not look at.

    They say how many entries there are: https://github.com/root-project/root/blob/master/tree/ntuple/doc/
    BinaryFormatSpecification.md, section "Envelopes".
    """
    for group in ntuple.footer.cluster_group_records:
        link = group.page_list_link
        chunk, _ = ntuple.read_locator(link.locator, link.env_uncomp_size)
        data = np.asarray(chunk.raw_data).tobytes()
        if xxhash.xxh3_64_intdigest(data[:-_CHECKSUM_BYTES]) != int.from_bytes(data[-_CHECKSUM_BYTES:], "little"):
            raise SourceError(
                f"asked to read {file}; a page list does not have its checksum: it is damaged. Restore it."
            )


def _trees(root: Any) -> dict[str, str]:
    """Returns the class of each tree and ntuple, by name."""
    return {key.partition(";")[0]: kind for key, kind in root.classnames().items() if kind in _FORMATS}


def details(table: Table) -> Details:
    """Returns what else is in the file.

    Raises:
        SourceError: it is damaged.
    """
    with _opened(table.file) as root:
        tables = {name: int(root[name].num_entries) for name in _trees(root)}
        compression = root.file.compression
        name = "none" if compression is None or compression.level == 0 else f"{compression.name} {compression.level}"
        if table.format == "rntuple":
            checksum = "XXH3 of header, footer and page lists; uproot does not look at those of the pages"
        else:
            checksum = CHECKSUMS.get(name.split()[0], "none that is looked at")
        return Details(tables, name, checksum)


def read_steps(
    table: Table, branches: Iterable[str], *, step: int, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yields first entry, last entry and the columns of each step; one step without entries for an empty tree.

    Args:
        table: from `open_table`.
        branches: exact names.
        step: entries at once.
        start: the first entry to read.
        stop: one after the last entry to read; None for all.

    Raises:
        SourceError: a branch cannot be read; file, branch and entries are named.
    """
    keep_freed_memory()
    end = table.n_entries if stop is None else min(stop, table.n_entries)
    steps = [(first, min(first + step, end)) for first in range(start, max(end, 1), step)]
    with _threads() as threads, _opened(table.file) as root:
        there = _branches(root[table.name])
        wanted = {name: there[name] for name in sorted(branches)}
        baskets = Baskets(
            wanted, threads=threads, path=None if sources.is_remote(table.file) else str(Path(table.file).absolute())
        )
        for (first, last), following in zip(steps, [*steps[1:], None], strict=True):
            baskets.request(first, last)
            joined = baskets.columns(first, last)
            if following:
                with contextlib.suppress(Exception):  # the request of that step meets it again, and says where
                    baskets.request(*following, ahead=True)
            columns = {}
            for name, branch in wanted.items():
                try:
                    if name in joined:
                        array = joined[name]()
                    else:
                        array = branch.array(entry_start=first, entry_stop=last, decompression_executor=threads)
                    columns[name] = array["refs"] if "refs" in array.fields else array  # of a TRefArray
                except Exception as error:  # a damaged basket can raise anything in the parser
                    raise damaged(table.file, error, f"branch {name!r}, entries {first} to {last},") from error
                if len(columns[name]) != last - first:
                    raise SourceError(
                        f"asked for the entries {first} to {last} of branch {name!r} in {table.file}; found "
                        f"{len(columns[name])}: it is damaged. Restore it, or leave it out."
                    )
            yield first, last, columns


@contextlib.contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Gives threads that at the end only finish what they are at."""
    threads = ThreadPoolExecutor(default_threads(), "hepnn-baskets")
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)
