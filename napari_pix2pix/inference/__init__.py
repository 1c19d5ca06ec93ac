"""A network over an image of any size: tiles with a halo that equal the whole."""
