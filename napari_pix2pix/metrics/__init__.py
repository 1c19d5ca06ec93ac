"""Arrays in, numbers out: how good a prediction is, and how good the baseline would be."""
