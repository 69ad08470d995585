"""Regressions, training, folds and thresholds."""
