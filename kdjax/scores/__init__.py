"""Scores of beats: metrics, fitted scores, baselines, calibration."""
