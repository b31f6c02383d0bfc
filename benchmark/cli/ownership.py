"""Two wheels with the same top-level package overwrite each other silently: are our three packages ours?"""

import base64
import hashlib
import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from benchmark.plugins.versions import DISTRIBUTION, PACKAGES


def check_ownership() -> None:
    """`ValueError` in one line unless the packages that would be imported are those of our distribution."""
    try:
        ours = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        raise ValueError(f"{DISTRIBUTION} is not installed; run `pip install --editable .` in its folder") from None
    for package in PACKAGES:
        if not _is_ours(package, ours):
            raise ValueError(
                f"package {package!r} at {_place(package)} does not belong to {DISTRIBUTION}: another distribution has "
                "overwritten or hidden it; install it into an environment of its own"
            )


def _is_ours(package: str, ours: Distribution) -> bool:
    place = _place(package)
    if place is None:
        return False
    checkout = _checkout(ours)
    return place.is_relative_to(checkout) if checkout is not None else _as_recorded(place, ours)


def _place(package: str) -> Path | None:
    """The folder that a package would be imported from."""
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]).resolve() if places else None


def _checkout(ours: Distribution) -> Path | None:
    """The folder of an editable install; `None` for any other."""
    origin = json.loads(ours.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(origin["url"]).path)).resolve()


def _as_recorded(place: Path, ours: Distribution) -> bool:
    """Whether the `__init__.py` there is the one that the installer recorded."""
    file = place / "__init__.py"
    for recorded in ours.files or ():
        if recorded.hash is not None and Path(str(ours.locate_file(recorded))).resolve() == file:
            digest = hashlib.new(recorded.hash.mode, file.read_bytes()).digest()
            return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == recorded.hash.value
    return False
