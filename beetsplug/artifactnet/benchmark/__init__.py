"""Judging detectors on labelled audio, the ArtifactBench way.

``manifest`` reads the tracks and ``runner`` scores them. ``metrics`` is the only ruler for
every metric; ``intervals`` and ``comparison`` say how sure it is. ``report`` writes it down.
``transport`` scores the tracks through codecs, ``calibration`` finds thresholds. scikit-learn,
SciPy and matplotlib (the extra ``bench``) are imported when a function first needs them. Where
one is not installed, that function raises a ``MissingPackageError``.
"""
