"""Arrays in, numbers out: how good a prediction is, and how good the best trivial map would be."""
