"""The dock that applies a model."""
