"""Runs: what trainings left behind, kept until the user saves or deletes it."""
