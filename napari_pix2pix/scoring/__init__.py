"""Predictions judged by their truth, frame by frame: the scores of a set, and the report."""

from napari_pix2pix.scoring.exams import Exam, Frame, fit_to_scored
from napari_pix2pix.scoring.marks import Mark, Measures, mark
from napari_pix2pix.scoring.result import Evaluation

__all__ = ["Evaluation", "Exam", "Frame", "Mark", "Measures", "fit_to_scored", "mark"]
