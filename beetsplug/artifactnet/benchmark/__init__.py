"""Judging detectors on labelled audio, the ArtifactBench way.

``manifest`` reads what is to be scored, ``metrics`` judges what was scored,
``bootstrap`` and ``comparison`` say how sure that is, ``outputs`` writes it down.
NumPy is imported with ``bootstrap``, ``comparison``, ``charts`` and ``outputs``;
scikit-learn and matplotlib (the extra ``bench``) when a function first needs them.
"""
