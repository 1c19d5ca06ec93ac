"""Model files and image files: tensors with a header, pixels with axes and sizes."""
