"""Tests of the plugin, mirroring its modules."""
