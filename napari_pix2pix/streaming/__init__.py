"""A file in, a file out, block by block in bounded memory; a run that was killed goes on."""

from napari_pix2pix.streaming.cluster import Cluster, connect
from napari_pix2pix.streaming.files import reads_lazily, translate_file
from napari_pix2pix.streaming.finished import check_finished, made_of

__all__ = [
    "Cluster",
    "check_finished",
    "connect",
    "made_of",
    "reads_lazily",
    "translate_file",
]
