"""The dock that scores predictions."""
