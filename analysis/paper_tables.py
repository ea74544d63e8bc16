"""Write the tables of the paper page from the CSVs that ``lifesim paper`` wrote: the paper's numbers beside ours, a page of Markdown.

python analysis/paper_tables.py results/paper -o docs/paper/tables.md
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

TITLES = {"mlp": "MLP", "lenet": "LeNet", "convnet_quick": "ConvNet-quick"}
NOTE = "<!-- Written by analysis/paper_tables.py from the CSVs beside it. -->\n"


def table1(rows: pd.DataFrame) -> Iterator[str]:
    yield "## Table I: accuracy\n"
    yield from _markdown(
        ("network", "data set", "format", "paper", "ours (95 %)", "verdict"),
        (
            (
                TITLES[r.network],
                r.dataset + (f" ({r.data_note})" if isinstance(r.data_note, str) else ""),
                r.format,
                f"{r.paper:.4g}",
                _interval(r, 4),
                r.verdict,
            )
            for r in rows.itertuples()
        ),
    )


def fig5(rows: pd.DataFrame) -> Iterator[str]:
    yield "## Fig. 5: deviation of confidences, LeNet\n"
    shown = rows[~rows["measure"].str.startswith("deviation, quantile")]
    yield from _markdown(
        ("examples", "pictures", "measure", "paper", "ours (95 %)", "verdict"),
        (
            (
                {"origin": "normal", "aet": "adversarial"}.get(r.examples, ""),
                _text(r.choice),
                r.measure,
                _number(r.paper),
                _interval(r, 3),
                _text(r.verdict),
            )
            for r in shown.itertuples()
        ),
    )


def detection(name: str, rows: pd.DataFrame) -> Iterator[str]:
    yield f"## {name.replace('fig', 'Fig. ')}: faulty networks detected by SDC-3 %\n"
    about = ["network", "condition", "theta"]
    found = []
    for (network, condition, theta), part in rows[rows["criterion"] == "sdc3"].groupby(about, sort=False):
        for examples, title in (
            ("aet", "AET"),
            ("origin", "Origin, same pictures"),
            ("aet - origin", "AET - Origin"),
        ):
            kind = part[part["examples"] == examples]
            chosen = kind[kind["choice"] == ("chosen" if examples == "aet" else "same")].set_index("pictures")
            at_random = kind[kind["choice"] == "random"].set_index("pictures")
            claimed = chosen["paper"].dropna()
            enough = [
                count for count, verdict in chosen["verdict"].items() if verdict in ("meets", "consistent")
            ]
            found.append(
                (
                    TITLES[network],
                    condition + (f", theta {theta:g}" if theta else ""),
                    title,
                    f"{claimed.iloc[0]:g}" if len(claimed) else "",
                    _interval(chosen.loc[1], 3),
                    f"{chosen.loc[2, 'ours']:.3f}",
                    f"{chosen.loc[4, 'ours']:.3f}",
                    f"{chosen.loc[16, 'ours']:.3f}",
                    f"{at_random.loc[1, 'ours']:.3f}",
                    f"{at_random.loc[4, 'ours']:.3f}",
                    _text(chosen.loc[1, "verdict"]),
                    (str(min(enough)) if enough else "none") if len(claimed) else "",
                )
            )
    yield from _markdown(
        (
            "network", "faults", "test", "paper", "1 chosen picture (95 %)", "2", "4", "16", "1 random", "4 random", "verdict, 1 picture", "holds with",
        ),
        found,
    )  # fmt: skip


def table3(rows: pd.DataFrame) -> Iterator[str]:
    yield "## Table III: March C- / test, times as long\n"
    wide = rows.pivot_table(index=["variant", "pictures"], columns="network", values="ours", sort=False)
    judged = rows[rows["paper"].notna()].set_index("network")
    paper = ", ".join(
        f"{TITLES[n]} {judged.loc[n, 'paper']:g} ({judged.loc[n, 'verdict']})" for n in judged.index
    )
    yield f"The paper: {paper}.\n"
    yield from _markdown(
        ("variant", "pictures", *(TITLES[name] for name in wide.columns)),
        ((variant, str(count), *(f"{value:.4g}" for value in row)) for (variant, count), row in
         zip(wide.index, wide.to_numpy(), strict=True)),
    )  # fmt: skip


def fig11(rows: pd.DataFrame) -> Iterator[str]:
    yield "## Fig. 11: accuracy lost to stuck cells, against a network without faults retrained as long\n"
    kinds = (
        "masked", "masked and retrained", "masked and retrained straight through", "nearest codes", "nearest codes and retrained"
    )  # fmt: skip
    found = []
    about = ["network", "cells", "format", "qformat", "permanent_rate"]
    for (network, cells, _, qformat, rate), part in rows.groupby(about, sort=False):
        of = part.set_index("measure")
        cell = [TITLES[network], cells, qformat, f"{rate:.1%}"]
        tuned = of.loc["accuracy without faults, retrained as long", "ours"]
        cell += [f"{of.loc['accuracy without faults', 'ours']:.4f}", f"{tuned:.4f}"]
        for kind in kinds:
            if f"accuracy lost, {kind}, mean" in of.index:
                mean, worst = (
                    of.loc[f"accuracy lost, {kind}, {which}"] for which in ("mean", "worst device")
                )
                verdict = f" {worst['verdict']}" if isinstance(worst["verdict"], str) else ""
                cell.append(f"{mean['ours']:.4f} / {worst['ours']:.4f}{verdict}")
            else:
                cell.append("")
        found.append(cell)
    yield "Mean / worst device. The paper: within 0.02.\n"
    yield from _markdown(("network", "cells", "format", "stuck", "clean", "clean, retrained", *kinds), found)


def false_alarms(rows: pd.DataFrame) -> Iterator[str]:
    yield "## What the paper lacks: false alarms\n"
    wide = rows.pivot_table(
        index=["network", "noise_sigma", "examples"], columns=["criterion", "pictures"], values="ours", sort=False
    )  # fmt: skip
    heads = [f"{'SDC-1' if c == 'sdc1' else 'SDC-3 %'}, {n}" for c, n in wide.columns]
    yield from _markdown(
        ("network", "noise", "pictures", *heads),
        (
            (TITLES[network], f"{sigma:.1%}", {"aet": "AET", "origin": "Origin"}[examples],
             *(f"{value:.3f}" for value in row))
            for (network, sigma, examples), row in zip(wide.index, wide.to_numpy(), strict=True)
        ),
    )  # fmt: skip


def readings(rows: pd.DataFrame) -> Iterator[str]:
    yield "## Other readings of the fault model: detected by AET, SDC-3 %, 1 chosen picture / 4\n"
    kinds = ["figure", "network", "condition", "theta"]
    rows = rows[rows["choice"] == "chosen"]
    wide = rows.pivot_table(index=kinds, columns=["reading", "pictures"], values="ours", sort=False)
    names = list(dict.fromkeys(rows["reading"]))

    def cell(row: pd.Series, name: str) -> str:
        one, four = row.get((name, 1)), row.get((name, 4))
        return "" if one is None or pd.isna(one) else f"{one:.3f} / {four:.3f}"

    yield from _markdown(
        ("figure", "network", "faults", *names),
        (
            (figure, TITLES[network], condition + (f", theta {theta:g}" if theta else ""),
             *(cell(row, name) for name in names))
            for (figure, network, condition, theta), row in wide.iterrows()
        ),
    )  # fmt: skip


def page(directory: Path) -> str:
    """Return the page. Raises FileNotFoundError if a CSV is not there."""
    parts = [NOTE + "\n# The paper's numbers beside ours\n"]

    def csv(name: str) -> pd.DataFrame:
        return pd.read_csv(directory / f"{name}.csv")

    parts += table1(csv("table1"))
    parts += fig5(csv("fig5"))
    for name in ("fig7", "fig8", "fig9", "fig10"):
        parts += detection(name, csv(name))
    parts += table3(csv("table3"))
    parts += fig11(csv("fig11"))
    parts += false_alarms(csv("false_alarms"))
    parts += readings(csv("readings"))
    return "\n".join(parts)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _interval(row: object, digits: int) -> str:
    get = row.get if isinstance(row, pd.Series) else lambda key: getattr(row, key)
    if get("low") == get("high"):
        return f"{get('ours'):.{digits}f}"
    return f"{get('ours'):.{digits}f} ({get('low'):.{digits}f} to {get('high'):.{digits}f})"


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:g}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIR", help="results of the command paper")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="MD")
    given = parser.parse_args(arguments)
    try:
        text = page(given.directory)
    except FileNotFoundError as error:
        print(f"error: {error.filename}: no such file; the command paper writes it", file=sys.stderr)
        return 2
    given.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
