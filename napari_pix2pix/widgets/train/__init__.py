"""The dock in which a model is trained."""
