"""Installing, downloading and checking models."""
