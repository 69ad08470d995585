"""What a file says of its own origin: generators' tags, labels and C2PA manifests.

Strong evidence where it is there, and none where it is not: one transcode or tag cleaner
removes it, and anybody can write it. It is kept apart from the score.
"""

from beetsplug.artifactnet.scoring.provenance.reader import (
    carries_manifest,
    read_claims,
    read_manifests,
    read_many,
)

__all__ = ["carries_manifest", "read_claims", "read_manifests", "read_many"]
