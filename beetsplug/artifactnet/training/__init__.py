"""How the bundled model is made: the only part of the package that uses torch.

``python -m beetsplug.artifactnet.training --corpus DIR --work DIR`` runs every step
from the audio to the model folder; each step is kept in the work folder and not
repeated.
"""
