"""The tables of the model's page, out of the one results file that a training leaves.

``python -m beetsplug.artifactnet.training.report.docs --results FILE`` writes
each table anew between ``<!-- NAME -->`` and ``<!-- end -->`` in ``docs/model.md``.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from beetsplug.artifactnet.training.choices import PLATFORMS

_NAMES = {"Alibaba Token Foundry (hifi-song-generation, arXiv 2607.20253)": "Token Foundry"}
_LEAST_SONGS = 9
"""A platform of fewer is counted in all alone."""
_BLOCK = re.compile(r"(<!-- ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Write the tables.

    Raises:
        KeyError: The page asks for a table that there is none of.
    """
    parser = argparse.ArgumentParser(
        prog="python -m beetsplug.artifactnet.training.report.docs"
    )
    parser.add_argument("--results", type=Path, required=True, help="results.json")
    parser.add_argument("--page", type=Path, default=Path("docs/model.md"))
    arguments = parser.parse_args()
    found = json.loads(arguments.results.read_text(encoding="utf-8"))
    page = arguments.page.read_text(encoding="utf-8")
    arguments.page.write_text(filled(page, found), encoding="utf-8")


def filled(page: str, found: Mapping[str, Any]) -> str:
    """Return a page with its tables out of these results.

    Raises:
        KeyError: It asks for a table that there is none of.
    """
    return _BLOCK.sub(lambda m: f"{m[1]}{TABLES[m[2]](found)}\n{m[3]}", page)


def _table(head: str, rows: Iterable[Iterable[Any]]) -> str:
    lines = [head, "|---" * (head.count("|") - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def _interval(values: list[float], digits: int = 2) -> str:
    value, low, high = (f"{v:.{digits}f}" for v in values)
    return f"{value} [{low}, {high}]"


def _three(ranked: Mapping[str, Any]) -> list[str]:
    digits = {"auc": 3, "tpr_at_fpr_5": 2, "tpr_at_fpr_1": 2}
    return [_interval(ranked[name], n) for name, n in digits.items()]


def _ranking(found: Mapping[str, Any]) -> str:
    rows = []
    for name in ("songs", "single segments"):
        ranked = found[name]["platforms"]
        n_sources = found[name]["human"]["sources"]
        human = f"{ranked['n_human']:,} of {n_sources} sources"
        rows.append([name, human, ranked["n_generated"], *_three(ranked)])
    head = "| material | human-made | generated | AUC | TPR at FPR 5 % | TPR at FPR 1 % |"
    return _table(head, rows)


def _branches(found: Mapping[str, Any]) -> str:
    rows = [
        [name, *(f"{ranked[k][0]:.3f}" for k in ("auc", "tpr_at_fpr_5", "tpr_at_fpr_1"))]
        for name, ranked in found["branches"].items()
    ]
    return _table("| branch | AUC | TPR at FPR 5 % | TPR at FPR 1 % |", rows)


def _side_by_side(found: Mapping[str, Any]) -> str:
    compared = dict(found["side by side"])
    for number, of in enumerate(found["deals"], 1):
        compared[f"songs, finecomb 3.0, deal {number}"] = of
    rows = [
        [name, *_three(of), _percent(of["ai"]), of["human ai"], of.get("modules ai", "-")]
        for name, of in sorted(compared.items())
    ]
    head = "| detector | AUC | TPR at FPR 5 % | TPR at FPR 1 % | `ai` | accused | modules |"
    return _table(head, rows)


def _platforms(found: Mapping[str, Any]) -> str:
    of, without = found["songs"]["found"], found["families left out"]
    regression = found["families left out, regression"]
    known = [name for name in PLATFORMS if of.get(name, {"n": 0})["n"] >= _LEAST_SONGS]
    names = sorted(known, key=lambda name: -of[name]["n"])
    rows = [
        [
            _NAMES.get(name, name),
            of[name]["n"],
            _percent(of[name]["ai"]),
            _percent(of[name]["unsure or ai"]),
            without.get(name, {}).get("songs", "-"),
            regression.get(name, "-"),
        ]
        for name in names
    ]
    total = of["platforms"]
    shares = [_percent(total[key]) for key in ("ai", "unsure or ai")]
    rows.append(["all", total["n"], *shares, "", ""])
    head = "| platform | songs | `ai` | `ai` or `unsure` | `ai`, family left out | regression |"
    return _table(head, rows)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _accusations(found: Mapping[str, Any]) -> str:
    rows = []
    for name in ("songs", "single segments"):
        for kind, word in (("human", ""), ("modules", "tracker modules, ")):
            of = found[name][kind]
            cells = [_rate(of[level]) for level in ("ai", "unsure or ai")]
            rows.append([word + name, *cells])
    return _table("| human-made | `ai` | `ai` or `unsure` |", rows)


def _rate(of: Mapping[str, Any]) -> str:
    rate, low, high = (100 * value for value in of["rate"])
    return f"{of['rows']}, {of['sources']} sources: {rate:.1f} % [{low:.1f}, {high:.1f}]"


def _hard(found: Mapping[str, Any]) -> str:
    shipped = found["hard negatives, shipped"]
    rows = []
    for kind, outcomes in shipped.items():
        of = found["hard negatives"].get(f"hard:{kind}")
        n_not = outcomes.get("no evidence", 0) + outcomes.get("silent", 0)
        cells = [outcomes.get(word, 0) for word in ("real", "unsure", "ai")]
        if any(cells):
            rows.append([kind, f"{of['ai']} of {of['n']}" if of else "-", n_not, *cells])
    head = "| kind | `ai`, left out | not judged | `real` | `unsure` | `ai` |"
    return _table(head, rows)


TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "ranking": _ranking,
    "branches": _branches,
    "side by side": _side_by_side,
    "platforms": _platforms,
    "accusations": _accusations,
    "hard negatives": _hard,
}
"""By the name that a page gives them."""


if __name__ == "__main__":
    main()
