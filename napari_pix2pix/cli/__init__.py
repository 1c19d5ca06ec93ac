"""The command ``napari-pix2pix``: everything that the docks do, for shells and clusters."""

from napari_pix2pix.cli.main import main

__all__ = ["main"]
