"""Predictions scored against the truth, frame by frame: the scores of a set, and the report."""

from napari_pix2pix.evaluation._report import (
    REPORT_ENDINGS,
    SAMPLES,
    check_samples,
    write_report,
)
from napari_pix2pix.evaluation.result import TABLE_ENDINGS, EvaluationResult
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
    "REPORT_ENDINGS",
    "SAMPLES",
    "TABLE_ENDINGS",
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
