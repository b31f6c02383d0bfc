"""Checks that the packages imported are ours: two wheels with the same package overwrite each other silently."""

import base64
import hashlib
import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from benchmark.plugins.versions import DISTRIBUTION, PACKAGES


def check_ownership() -> None:
    """`ValueError` in one line unless the packages that would be imported are those of our distribution."""
    try:
        ours = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        raise ValueError(f"{DISTRIBUTION} is not installed; run `pip install --editable .` in its folder") from None
    for package in PACKAGES:
        spec = find_spec(package)
        folders = list(spec.submodule_search_locations or ()) if spec is not None else []
        place = Path(folders[0]).resolve() if folders else None
        if place is None or not _is_ours(place, ours):
            raise ValueError(
                f"package {package!r} at {place} does not belong to {DISTRIBUTION}: another distribution has "
                "overwritten or hidden it; install it into an environment of its own"
            )


def _is_ours(place: Path, ours: Distribution) -> bool:
    """Whether a package lies in the checkout of an editable install, or its `__init__.py` is the installed one."""
    origin = json.loads(ours.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        from urllib.request import url2pathname

        return place.is_relative_to(Path(url2pathname(urlsplit(origin["url"]).path)).resolve())
    file = place / "__init__.py"
    for recorded in ours.files or ():
        if recorded.hash is not None and Path(str(ours.locate_file(recorded))).resolve() == file:
            digest = hashlib.new(recorded.hash.mode, file.read_bytes()).digest()
            return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == recorded.hash.value
    return False
