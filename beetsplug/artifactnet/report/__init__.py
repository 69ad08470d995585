"""Results as pages, CSV and JSON. Nothing here knows beets or opens audio.

Pages need jinja2; where it is not installed, they raise a ``MissingPackageError``.
"""
