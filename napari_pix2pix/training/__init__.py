"""Training: one configuration, one loop that is a generator of events, checkpoints, validation."""
