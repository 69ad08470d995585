"""Results as pages, CSV and JSON. Nothing here knows beets or opens audio."""
