"""``python -m beetsplug.artifactnet.training``: make the bundled model."""

from beetsplug.artifactnet.training import train_extra

if __name__ == "__main__":
    with train_extra():
        from beetsplug.artifactnet.training import recipe

    recipe.main()
