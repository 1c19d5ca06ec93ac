"""Predictions scored against the truth, frame by frame: the scores of a set, and the report."""

from napari_pix2pix.evaluation._report import SAMPLES, check_samples, write_report
from napari_pix2pix.evaluation.result import EvaluationResult
from napari_pix2pix.evaluation.scoring import (
    EvaluationCase,
    Frame,
    Measures,
    difference,
    fit_baseline_to_scored,
    know_usual,
    score_images,
)

__all__ = [
    "SAMPLES",
    "EvaluationCase",
    "EvaluationResult",
    "Frame",
    "Measures",
    "check_samples",
    "difference",
    "fit_baseline_to_scored",
    "know_usual",
    "score_images",
    "write_report",
]
