"""Predictions judged by their truth, frame by frame: the scores of a set, and the report."""

from napari_pix2pix.evaluation.cases import EvaluationCase, Frame, fit_to_scored
from napari_pix2pix.evaluation.result import Evaluation
from napari_pix2pix.evaluation.scoring import ImageScores, Measures, score_images

__all__ = [
    "Evaluation",
    "EvaluationCase",
    "Frame",
    "ImageScores",
    "Measures",
    "fit_to_scored",
    "score_images",
]
