"""Tests of the training code; they need torch and are skipped without it."""
