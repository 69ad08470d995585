"""Models: cards, folders, the catalogue; each bundled one in a folder of its own."""
