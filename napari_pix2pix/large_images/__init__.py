"""Image files translated block by block in bounded memory; runs can be resumed."""

from napari_pix2pix.large_images._files import FileTranslation, Watch
from napari_pix2pix.large_images._translate_file import (
    check_finished,
    needs_blocks,
    output_record,
    translate_file,
)
from napari_pix2pix.large_images.cluster import Cluster, connect

__all__ = [
    "Cluster",
    "FileTranslation",
    "Watch",
    "check_finished",
    "connect",
    "needs_blocks",
    "output_record",
    "translate_file",
]
