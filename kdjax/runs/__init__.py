"""Runs: the directory of a training, its checkpoints, results, report and exports."""
