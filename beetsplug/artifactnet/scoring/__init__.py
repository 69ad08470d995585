"""The way of a file: audio, segments, probabilities, score."""
