"""Predictions judged by their truth, frame by frame: the scores of a set, and the report."""

from napari_pix2pix.evaluation.cases import Exam, Frame, fit_to_scored
from napari_pix2pix.evaluation.result import Evaluation
from napari_pix2pix.evaluation.scoring import Mark, Measures, mark

__all__ = ["Evaluation", "Exam", "Frame", "Mark", "Measures", "fit_to_scored", "mark"]
