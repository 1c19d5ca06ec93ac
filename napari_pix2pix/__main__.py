"""The command from its first moment on: ``napari-pix2pix``, and ``python -m napari_pix2pix``."""

from __future__ import annotations

from napari_pix2pix import _signals


def run() -> None:
    """Run the command; a signal that comes while Python still imports ends it in a sentence."""
    _signals.end_at_once()
    from napari_pix2pix.cli import main  # takes a while

    main()


if __name__ == "__main__":
    run()
