"""The transport test: does a score survive the codecs that a library is kept in?

A track is decoded once. The same samples are then written as float WAV, which is the reference,
as 16-bit WAV, and through lossy codecs. Each of these files goes through the whole pipeline.
"""
