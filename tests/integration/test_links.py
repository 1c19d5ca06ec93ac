"""Links between files of the repository lead somewhere, and so do paths that texts and code name.

Sphinx sees the pages of the site alone, and an anchor as it makes it. Here headings have anchors as
a code host gives them, so that the same link works on both.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = "benchmarks", "docs", "examples", "napari_pix2pix", "sample_data", "tests", "tools"
BUILT = {"_build", "gallery", "__pycache__"}
# What a page tells the reader to replace, and what is made and not kept.
PLACEHOLDERS = (
    "NAME",
    "VERSION",
    "docs/_build",
    "docs/gallery",
    "docs/api/training-options.md",
    "benchmarks/warps.json",
)
FENCE = re.compile(r"^ *(`{3,}).*?^ *\1`* *$", re.M | re.S)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.M)
PATH = re.compile(rf"(?<![\w/.*{{-])((?:{'|'.join(ROOMS)})/[\w./-]*\w)")


def files(ending: str) -> list[Path]:
    """Return the files of the repository with an ending, without what is built or installed."""
    folders = [ROOT / room for room in ROOMS] + [ROOT / ".github"]
    found = [path for folder in folders for path in folder.rglob(f"*{ending}")]
    return sorted({*found, *ROOT.glob(f"*{ending}")} - {path for path in found if is_built(path)})


def is_built(path: Path) -> bool:
    return bool(BUILT & set(path.relative_to(ROOT).parts[:2]) or "__pycache__" in path.parts)


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings: lower case, with - for spaces, numbered if alike."""
    found: set[str] = set()
    for heading in HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = plain = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while name in found:
            number += 1
            name = f"{plain}-{number}"
        found.add(name)
    return found


def fault_of(link: str, page: Path) -> str:
    """Return what is wrong with a link of a page, or nothing."""
    if re.match(r"[a-z]+:", link):
        return "" if re.match(r"https://[\w.-]+\.\w+(/\S*)?$", link) else "no address"
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.is_relative_to(ROOT.resolve()):
        return "leads out of the repository"
    if not target.exists() and not path.endswith("training-options.md"):
        return "no such file"
    return "" if not anchor or anchor in anchors(target) else "no such heading"


def test_links_of_pages_lead_to_a_file_and_a_heading():
    faults = [
        f"{page.relative_to(ROOT)}: {link}: {fault}"
        for page in files(".md")
        for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
        if (fault := fault_of(link, page))
    ]
    assert not faults


def test_paths_that_pages_and_code_name_are_there():
    missing = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in [*files(".md"), *files(".py"), *files(".yml")]
        for name in PATH.findall(file.read_text(encoding="utf-8"))
        if "." in Path(name).name
        and not any(part in name for part in PLACEHOLDERS)
        and not (ROOT / name).exists()
    ]
    assert not missing
