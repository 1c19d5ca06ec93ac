"""What the metadata of a result say of it, and how results are found again by that."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from napari_pix2pix.layers.snapshots import Snapshot

KEY = "napari-pix2pix"  # of a layer's metadata


def result_record(
    sources: Sequence[Snapshot],
    *,
    model: str,
    digest: str,
    condition: Hashable,
    trained_on: str,
    scores: Mapping[str, Mapping[str, float]],
    samples: int = 1,
    shown: str = "",
) -> dict[str, Any]:
    """Say what a result is, for the metadata of its layer.

    Parameters
    ----------
    sources : sequence of Snapshot
        What it was made of: a layer, or several that are its channels; nothing where the model
        takes none.
    model, digest : str
        Name and hash of the model.
    condition : hashable
    trained_on : str
        The summary of the model's training.
    scores : mapping
        Of the training, for prediction and trivial map.
    samples : int
        How often the model was asked.
    shown : str
        Nothing for the only answer; else which of several it is, or what was computed of them.
    """
    return {
        "model": model,
        "digest": digest,
        "condition": condition,
        "source": " + ".join(one.name for one in sources),
        "source_id": sources[0].layer_id if sources else "",
        "trained_on": trained_on,
        "scores": {side: dict(of_side) for side, of_side in scores.items()},
        "samples": samples,
        "shown": shown,
    }


def result_name(record: Mapping[str, Any]) -> str:
    """Name the layer of a result, such as ``stain [nuclei, mean of 5]``."""
    told = [record["model"]]
    if record["condition"] is not None:
        told.append(str(record["condition"]))
    if record["shown"]:
        told.append(f"{record['shown']} of {record['samples']}")
    return f"{record['source'] or 'made'} [{', '.join(told)}]"


def is_result_of(record: Any, source_id: str, condition: Hashable) -> bool:
    """Whether what metadata hold under `KEY` is the record of a result of a layer."""
    wanted = {"condition": condition, "source_id": source_id}
    return isinstance(record, dict) and all(record.get(k) == v for k, v in wanted.items())


def answer_in(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return the hash of the model that gave a result, and which of its answers it is."""
    return record["digest"], record["shown"]
