"""Files to plain parts and back: tensors with a header, images with their axes."""
