"""What the training is given: music, generated clips, and signals that are neither."""
