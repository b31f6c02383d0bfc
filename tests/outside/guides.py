"""What the guides in docs/ show, installed as somebody else's distribution."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

BLOCK = re.compile(r"^```(python|toml)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """The code blocks of a page as (language, name of the file, text)."""
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


def install(folder, *pages, also=""):
    """Write the files of some pages into a folder, as a distribution that names their records."""
    points = []
    for page in pages:
        for language, name, text in blocks(page):
            if language == "python":
                (folder / name).write_text(text, encoding="utf-8")
            else:
                points += tomllib.loads(text)["project"]["entry-points"].items()
    info = folder / "outsider-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in names.items()) for group, names in points
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + also)


def bench(site, folder, *arguments):
    """Call the command line in a folder, with a folder of installed distributions."""
    command = [str(Path(sys.executable).with_name("bench")), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
