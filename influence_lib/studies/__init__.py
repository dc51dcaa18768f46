"""Measured answers to the papers' claims: numbers and tables, no pictures."""

from influence_lib.studies.stability import PAPER_LOG_SCORES, PAPER_TABLE_4, LogScores, explained_variance, log_scores

__all__ = ["PAPER_LOG_SCORES", "PAPER_TABLE_4", "LogScores", "explained_variance", "log_scores"]
