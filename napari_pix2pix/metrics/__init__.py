"""Scores of predictions, and the baselines that they are compared with: arrays in, numbers out."""
