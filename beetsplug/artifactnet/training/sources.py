"""How well a family is found that training knows, in music from sources that it does not.

``python -m beetsplug.artifactnet.training.sources --corpus DIR --work DIR``, after the
training, whose crops, features and pairs it uses. Suno, which comes from several
sources: each is left out in turn, with a part of the human-made sources, and judged by a
network of a fold's budget that heard the others. Prints a Markdown table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from beetsplug.artifactnet.training import train_extra

with train_extra():
    import torch

    from beetsplug.artifactnet.training import corpus, evaluate, recipe
    from beetsplug.artifactnet.training.evaluate import Judged
    from beetsplug.artifactnet.training.programs import open_dataset, work_parser
    from beetsplug.artifactnet.training.recipe import AGGREGATION, Fold, Material, fuse

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
    lines += [
        _row(source, _of_source(plain, source), _of_source(recoded, source))
        for source in sorted({j.clip.source for j in plain if j.clip.label})
    ]
    lines.append(_row("all, single segments", plain, recoded))
    songs = [j for fold in folds for j in fold.judge_songs(fuse(fold.branches), AGGREGATION)]
    lines.append(_row("all, songs of three segments", songs))
    return "\n".join(lines)


def _of_source(judged: Sequence[Judged], source: str) -> list[Judged]:
    return [j for j in judged if not j.clip.label or j.clip.source == source]


def _row(name: str, *sets: Sequence[Judged]) -> str:
    found = [evaluate.summary(judged) for judged in sets]
    rates = [f"{of[measure]:.3f}" for of in found for measure in evaluate.MEASURES]
    return f"| {' | '.join([name, str(found[0]['n_ai']), *rates, *[''] * (6 - len(rates))])} |"


def main() -> None:
    """Train what is not there yet and print the table."""
    arguments = work_parser("sources").parse_args()
    torch.set_num_threads(arguments.threads)
    dataset, work = open_dataset(arguments), arguments.work
    material = Material.kept(dataset, work)
    folds = [
        recipe.judge_fold(material, split, work / "sources" / str(number))
        for number, split in enumerate(corpus.split_sources(dataset.clips, FAMILY))
    ]
    sys.stdout.write(table(folds) + "\n")


if __name__ == "__main__":
    main()
