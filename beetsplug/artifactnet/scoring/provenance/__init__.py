"""Claims of a file about its own origin: generators' tags, labels and C2PA manifests.

Strong evidence where it is there, and none where it is not: one transcode or tag cleaner
removes it, and anybody can write it. It is kept apart from the score.
"""

from beetsplug.artifactnet.scoring.provenance.artists import (
    ArtistList,
    ListedArtist,
    read_artists,
)
from beetsplug.artifactnet.scoring.provenance.description import Description, describe
from beetsplug.artifactnet.scoring.provenance.reader import (
    carries_manifest,
    read_claims,
    read_manifests,
    read_many,
)
from beetsplug.artifactnet.scoring.provenance.releases import (
    describe_release,
    early_year,
    read_release,
)
from beetsplug.artifactnet.scoring.provenance.signature import (
    Signature,
    SignatureState,
    check_signature,
)

__all__ = [
    "ArtistList",
    "Description",
    "ListedArtist",
    "Signature",
    "SignatureState",
    "carries_manifest",
    "check_signature",
    "describe",
    "describe_release",
    "early_year",
    "read_artists",
    "read_claims",
    "read_manifests",
    "read_many",
    "read_release",
]
