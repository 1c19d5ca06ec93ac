"""Models of other programs, and those that were written for them: ONNX files and packages."""
