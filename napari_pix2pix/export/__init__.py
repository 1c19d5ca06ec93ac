"""Models as files that other programs run: ONNX, and packages of the BioImage Model Zoo."""
