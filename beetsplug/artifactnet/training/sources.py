"""How well a family is found that training knows, in music from sources that it does not.

``python -m beetsplug.artifactnet.training.sources --corpus DIR --work DIR``, after the
training, whose crops, features and pairs it uses. Suno, which comes from several
sources: each is left out in turn, with a part of the human-made sources, and judged by a
network of a fold's budget that heard the others. Prints a Markdown table.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from beetsplug.artifactnet.training import train_extra

with train_extra():
    import torch

    from beetsplug.artifactnet.training import corpus, evaluate
    from beetsplug.artifactnet.training.calibration import AGGREGATION
    from beetsplug.artifactnet.training.folds import Fold, Material, judge_fold
    from beetsplug.artifactnet.training.fusion import fuse
    from beetsplug.artifactnet.training.programs import open_dataset, work_parser

FAMILY = "Suno"


def table(folds: Sequence[Fold]) -> str:
    """Return a Markdown table of judged folds: a row each source, and two of all.

    Every source is held against the real music of all folds, by single segments; the last
    row has what has three of them.
    """
    lines = [
        "| source left out | clips | as they are: AUC | TPR at FPR 5 % | TPR at FPR 1 % "
        "| recoded: AUC | TPR at FPR 5 % | TPR at FPR 1 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    plain, recoded = (
        [j for fold in folds for j in evaluate.full_band(fold.judge(fuse(fold.branches), how))]
        for how in (0, 1)
    )
    of_plain, of_recoded = (
        evaluate.by_group(judged, lambda clip: clip.source) for judged in (plain, recoded)
    )
    lines += [_row(source, of_plain[source], of_recoded[source]) for source in of_plain]
    lines.append(_row("all, single segments", *map(evaluate.summary, (plain, recoded))))
    songs = [j for fold in folds for j in fold.judge_songs(fuse(fold.branches), AGGREGATION)]
    lines.append(_row("all, songs of three segments", evaluate.summary(songs)))
    return "\n".join(lines)


def _row(name: str, *found: Mapping[str, float]) -> str:
    rates = [f"{of[measure]:.3f}" for of in found for measure in evaluate.MEASURES]
    return f"| {' | '.join([name, str(found[0]['n_ai']), *rates, *[''] * (6 - len(rates))])} |"


def main() -> None:
    """Train what is not there yet and print the table."""
    arguments = work_parser("sources").parse_args()
    torch.set_num_threads(arguments.threads)
    dataset, work = open_dataset(arguments), arguments.work
    material = Material.kept(dataset, work)
    folds = [
        judge_fold(material, split, work / "sources" / str(number))
        for number, split in enumerate(corpus.split_sources(dataset.clips, FAMILY))
    ]
    sys.stdout.write(table(folds) + "\n")


if __name__ == "__main__":
    main()
