"""The jets that come with hepnn: 15,600 simulated quark and gluon jets, described in ``data/README.md``."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import hepnn
from hepnn.errors import SourceError

__all__ = ["bundled_jets"]


def bundled_jets() -> Path:
    """Returns the path of the ROOT file with them; its schema is ``hepnn``.

    Raises:
        SourceError: it is not where the wheel or a checkout has it.
    """
    package = Path(str(resources.files(hepnn)))
    places = (package / "data" / "quark_gluon.root", package.parent / "data" / "quark_gluon.root")
    for place in places:
        if place.exists():
            return place
    raise SourceError(f"asked for the bundled jets; found none at {' or '.join(map(str, places))}. Reinstall hepnn.")
