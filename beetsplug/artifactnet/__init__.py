"""beets-artifactnet: how likely is each track of a beets library AI-generated?"""

from beetsplug.artifactnet.plugin import ArtifactNetPlugin

__all__ = ["ArtifactNetPlugin"]
