"""Tests of judging detectors on labelled audio."""
