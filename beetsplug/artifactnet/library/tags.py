"""Score and verdict as tags of a file: an export, never read back."""

from __future__ import annotations

from beets.library import Item

from beetsplug.artifactnet.library.fields import Field, own


def score_tags(item: Item) -> dict[str, float | str]:
    """Return what is exported to a file's tags: nothing for an unscored one.

    They are for :meth:`beets.library.Item.write`, which knows them from then on.
    """
    score = own(item, Field.SCORE)
    verdict = own(item, Field.VERDICT)
    if not isinstance(score, float) or not isinstance(verdict, str):
        return {}
    _add_media_fields()
    return {Field.SCORE: score, Field.VERDICT: verdict}


def has_score_tags(item: Item) -> bool:
    """Tell whether a file's tags are what would be exported to them."""
    from mediafile import MediaFile, UnreadableFileError

    tags = score_tags(item)
    try:
        file = MediaFile(item.filepath)
    except (OSError, UnreadableFileError):
        return False
    score, verdict = (getattr(file, name, None) for name in (Field.SCORE, Field.VERDICT))
    return tags == {} or (
        score is not None
        and verdict == tags[Field.VERDICT]
        and f"{score:.4f}" == f"{tags[Field.SCORE]:.4f}"
    )


def _add_media_fields() -> None:
    """Teach MediaFile the two tags, without teaching beets to read them back.

    Were they media fields of beets' items, ``beet update`` would overwrite scores with
    what a file says, and with 0.0 where it says nothing.
    """
    import mediafile

    for name, kind in ((Field.SCORE, float), (Field.VERDICT, str)):
        # Not by hasattr(): a MediaField has no value on the class.
        if name in vars(mediafile.MediaFile):
            continue
        tag = name.upper()
        mediafile.MediaFile.add_field(
            name,
            mediafile.MediaField(
                mediafile.MP3DescStorageStyle(tag, float_places=4),
                mediafile.MP4StorageStyle(f"----:com.apple.iTunes:{tag}", float_places=4),
                mediafile.StorageStyle(tag, float_places=4),
                mediafile.ASFStorageStyle(tag, float_places=4),
                out_type=kind,
            ),
        )
