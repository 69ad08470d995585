"""``python -m beetsplug.artifactnet.exporters``: export a detector."""

import sys

from beetsplug.artifactnet.errors import ArtifactNetError, MissingPackageError

if __name__ == "__main__":
    try:
        from beetsplug.artifactnet.exporters import program

        program.main()
    except ImportError as error:
        package = error.name or str(error)
        sys.exit(f"error: {MissingPackageError(package, 'beets-artifactnet[exporters]')}")
    except ArtifactNetError as error:
        sys.exit(f"error: {error}")
