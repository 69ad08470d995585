"""The training audio: which clips there are, their crops, features, augmentation and pairs."""
