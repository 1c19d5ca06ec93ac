"""Files that belong together by their names, also where the names of the two sides differ."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_pix2pix.errors import InputError, Remedy, plural
from napari_pix2pix.io.paths import composed, file_stem, shown_name
from napari_pix2pix.io.plates import image_of_labels, name_in_plate

_REMEDIES = (Remedy.TABLE, Remedy.WRITE_TABLE)
_PROBES = 5  # names that rules are drawn from
_MOST_RULES = 50  # that are tried


class NoMatchError(InputError):
    """Names that don't tell what belongs together; `guess` is to be corrected by the user."""

    def __init__(self, message: str, guess: list[tuple[Path, Path]]) -> None:
        super().__init__(message, remedies=_REMEDIES)
        self.guess = guess


def match_by_name(
    sources: Sequence[Path],
    targets: Sequence[Path],
    *,
    side: str = "source",
    partner: str = "target",
    may_be_same: bool = False,
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Pair source and target files by name; `side` and `partner` are what messages call the two.

    Names are equal apart from their endings, or become so by one rule for all: a part of each
    source's name is another in its target's, or both sides have a beginning and an end of their
    own. Also return notes that name such pairs, and files without a partner. A single pair needs no
    common name. `may_be_same` says that files on both sides hold both images.
    """
    if not may_be_same:
        sources, targets = _apart(sources, targets)
    if len(sources) == len(targets) == 1:
        return [(sources[0], targets[0])], []
    by_source, by_target = _by_name(sources, side), _by_name(targets, partner)
    matched = {name: name for name in by_source if name in by_target}
    notes = []
    if not matched:
        matched = _match_by_rule(by_source, by_target, side, partner)
    else:
        matched |= _match_rest(by_source, by_target, matched)
    pairs = [(by_source[name], by_target[other]) for name, other in matched.items()]
    if any(name != other for name, other in matched.items()):
        firsts, seconds = (pair_names(paths) for paths in zip(*pairs, strict=True))
        examples = list(zip(firsts, seconds, strict=True))[:2]
        shown = ", ".join(f"{one} with {two}" for one, two in examples)
        note = (
            f"{plural(len(pairs), side)} {'was' if len(pairs) == 1 else 'were'} matched by what "
            f"the names have in common: {shown}{', ...' if len(pairs) > 2 else ''}. If that is "
            "wrong, list the pairs in a table."
        )
        notes = [note]
    taken = set(matched.values())
    unmatched = (
        (side, partner, [by_source[name] for name in by_source if name not in matched]),
        (partner, side, [by_target[name] for name in by_target if name not in taken]),
    )
    return pairs, notes + [
        f"{plural(len(paths), kind)} {'has' if len(paths) == 1 else 'have'} no {other} of the same "
        f"name and {'is' if len(paths) == 1 else 'are'} left out: {_some(paths)}."
        for kind, other, paths in unmatched
        if paths
    ]


def match_in_order(
    sources: Sequence[Path],
    targets: Sequence[Path],
    *,
    side: str = "source",
    partner: str = "target",
    may_be_same: bool = False,
) -> list[tuple[Path, Path]]:
    """Pair the first file with the first, and so on; parameters as for `match_by_name`."""
    if not may_be_same:
        sources, targets = _apart(sources, targets)
    if len(sources) != len(targets):
        raise InputError(
            f"There are {plural(len(sources), side)} and {plural(len(targets), partner)}, so their "
            "order does not tell what belongs together: match them by name, or list the pairs in "
            "a table.",
            remedies=_REMEDIES,
        )
    return list(zip(sources, targets, strict=True))


def pair_names(paths: Sequence[Path]) -> list[str]:
    """Name files for messages, with their folders where the names alone are not different."""
    names = [shown_name(path) for path in paths]
    if len(set(names)) == len(names):
        return names
    return [f"{folder}/{name}" for folder, name in zip(_folders(paths), names, strict=True)]


def _apart(
    sources: Sequence[Path], targets: Sequence[Path]
) -> tuple[Sequence[Path], Sequence[Path]]:
    """Leave out files that a folder or pattern names beside those of the other side."""
    one, two = set(sources), set(targets)
    if one > two:
        return [path for path in sources if path not in two], targets
    if two > one:
        return sources, [path for path in targets if path not in one]
    return sources, targets


def _by_name(paths: Sequence[Path], side: str) -> dict[str, Path]:
    """Return files by their names without endings, with the folders where these differ alone."""
    names = [_stem(path) for path in paths]
    if len(set(names)) < len(names):
        names = [f"{folder}/{name}" for folder, name in zip(_folders(paths), names, strict=True)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        same = [path for path, name in zip(paths, names, strict=True) if name == twice[0]]
        raise NoMatchError(
            f"Two {side} files have the same name: {_some(same)}; name one kind of file by a "
            "pattern, such as '*.tif', or list the pairs in a table.",
            [],
        )
    return dict(zip(names, paths, strict=True))


def _stem(path: Path) -> str:
    """Return a name without its ending; labels have that of their image, fields their place."""
    image = image_of_labels(path)
    return composed(name_in_plate(image).replace("/", "_") or file_stem(image))


def _folders(paths: Sequence[Path]) -> list[str]:
    """Return the folder of each file below the one that holds all of them."""
    folders = [os.path.abspath(path.parent) for path in paths]
    above = os.path.commonpath(folders)
    return [composed(Path(os.path.relpath(folder, above)).as_posix()) for folder in folders]


def _match_by_rule(
    by_source: dict[str, Path], by_target: dict[str, Path], side: str, partner: str
) -> dict[str, str]:
    """Return the partners' names by the one rule that explains most; refuse none and several."""
    found = _explanations(list(by_source), list(by_target))
    if len(found) == 1:
        return found[0]
    names = f"{side}s are {_some(by_source.values())}, {partner}s {_some(by_target.values())}"
    if not found:
        raise NoMatchError(
            f"No {side} has a {partner} of the same name: {names}; list the pairs in a table.",
            list(zip(by_source.values(), by_target.values(), strict=False)),
        )
    guess = [(by_source[name], by_target[other]) for name, other in found[0].items()]
    several = " or ".join(
        f"{shown_name(by_source[name])} with {shown_name(by_target[other])}"
        for name, other in (next(iter(one.items())) for one in found[:2])
    )
    raise NoMatchError(
        f"The names do not tell which {side} and {partner} belong together, {several}: choose the "
        "files of each side by a pattern, such as '*_ch0.tif', or list the pairs in a table.",
        guess,
    )


def _match_rest(
    by_source: dict[str, Path], by_target: dict[str, Path], same: dict[str, str]
) -> dict[str, str]:
    """Return partners by the one rule for names without the same name, if these are the most."""
    sources = [name for name in by_source if name not in same]
    targets = [name for name in by_target if name not in same]
    if min(len(sources), len(targets)) <= len(same):
        return {}
    found = _explanations(sources, targets)
    return found[0] if len(found) == 1 else {}


def _explanations(sources: list[str], targets: list[str]) -> list[dict[str, str]]:
    """Return the largest sets of partners that a rule gives; each rule holds for all names."""
    known = set(targets)
    rules: Counter[tuple[str, str]] = Counter()
    for name in sources[:: max(1, len(sources) // _PROBES)]:
        rules.update({rule for target in targets if (rule := _difference(name, target))})
    found = [_replaced(sources, known, *rule) for rule, _ in rules.most_common(_MOST_RULES)]
    found.append(_without_affixes(sources, targets))
    fewer = min(len(sources), len(targets))
    most = max(map(len, found))
    if most < max(min(fewer, 2), fewer / 2):
        return []
    best = [one for one in found if len(one) == most]
    return list({frozenset(one.items()): one for one in best}.values())


def _difference(name: str, other: str) -> tuple[str, str] | None:
    """Return the parts in which two names differ; None if they share neither begin nor end.

    >>> _difference("im10_ch0", "im10_ch1"), _difference("im1", "im1_masks")
    (('0', '1'), ('', '_masks'))
    """
    begin = _shared([name, other])
    rest, other_rest = name[begin:], other[begin:]
    end = _shared([rest[::-1], other_rest[::-1]])
    # A number is not cut.
    middle = rest[: len(rest) - end], other_rest[: len(other_rest) - end]
    while begin and name[begin - 1].isdigit() and any(part[:1].isdigit() for part in middle):
        begin -= 1
        middle = name[begin] + middle[0], name[begin] + middle[1]
    while end and name[-end].isdigit() and any(part[-1:].isdigit() for part in middle):
        middle = middle[0] + name[-end], middle[1] + name[-end]
        end -= 1
    return middle if begin + end else None


def _replaced(sources: Iterable[str], known: set[str], old: str, new: str) -> dict[str, str]:
    """Return the partners that differ by one replacement, where there is one for each name."""
    number = (r"(?<!\d)" if old[:1].isdigit() else ""), (r"(?!\d)" if old[-1:].isdigit() else "")
    places = re.compile(f"{number[0]}(?={re.escape(old)}{number[1]})")
    partners = {}
    for name in sources:
        starts = [place.start() for place in places.finditer(name)]
        changed = {name[:start] + new + name[start + len(old) :] for start in starts} & known
        if len(changed) == 1:
            partners[name] = changed.pop()
    return _one_to_one(partners)


def _without_affixes(sources: Sequence[str], targets: Sequence[str]) -> dict[str, str]:
    """Return the partners by what is left without the beginning and the end of each side."""
    cores = [_cores(names) for names in (sources, targets)]
    return _one_to_one({cores[0][core]: cores[1][core] for core in cores[0] if core in cores[1]})


def _cores(names: Sequence[str]) -> dict[str, str]:
    """Return names by what only they have: without a common begin and end, and not within words."""
    words = [re.findall(r"\d+|[^\W\d_]+|.", name, re.DOTALL) for name in names]
    begin = _shared(words)
    end = _shared([parts[begin:][::-1] for parts in words])
    return {
        "".join(parts[begin : len(parts) - end]): name
        for parts, name in zip(words, names, strict=True)
        if len(parts) > begin + end
    }


def _shared(names: Sequence[Sequence[str]]) -> int:
    """Return how many characters or words all names begin with."""
    same = (len(set(parts)) == 1 for parts in zip(*names, strict=False))
    return next((count for count, one in enumerate(same) if not one), min(map(len, names)))


def _one_to_one(partners: dict[str, str]) -> dict[str, str]:
    """Leave out partners that several names have."""
    count = Counter(partners.values())
    return {name: other for name, other in partners.items() if count[other] == 1}


def _some(paths: Iterable[Path], most: int = 3) -> str:
    names = [shown_name(path) for path in paths]
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
