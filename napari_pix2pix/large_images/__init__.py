"""A file in, a file out, block by block in bounded memory; a run that was killed goes on."""

from napari_pix2pix.large_images.cluster import Cluster, connect
from napari_pix2pix.large_images.translate_file import (
    check_finished,
    made_of,
    reads_lazily,
    translate_file,
)

__all__ = [
    "Cluster",
    "check_finished",
    "connect",
    "made_of",
    "reads_lazily",
    "translate_file",
]
