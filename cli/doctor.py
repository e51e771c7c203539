"""`narrowgauge doctor`: every tool and package that a step needs, with its version or how to install it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .common import Commands, add_command, write_report
from .requirements import BASE, STEPS, Finding, Requirement, examine, requirements


def add_parser(commands: Commands) -> None:
    """Adds `doctor` to the sub-commands."""
    parser = add_command(commands, "doctor", run, "list what each step needs, and what is missing")
    parser.add_argument(
        "--for",
        dest="step",
        choices=tuple(STEPS),
        metavar="STEP",
        help=f"list only what STEP needs: {', '.join(STEPS)} (default: all steps; the exit status covers "
        f"{' and '.join(BASE)})",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the table; returns 1 if the step (by default: training, export and verification) cannot run, else 0."""
    return report(args, requirements())


def report(args: argparse.Namespace, wanted: Sequence[Requirement]) -> int:
    """Checks those of `wanted` that the step needs, prints them and returns the exit status of `run`."""
    steps = BASE if args.step is None else (args.step,)
    findings = examine(one for one in wanted if args.step is None or args.step in one.steps)
    lacking = [one.name for one in findings if one.status != "found" and _needed(one, steps)]
    print(table(findings, steps))
    title = ", ".join(STEPS[step] for step in steps)
    title = title[0].upper() + title[1:]
    print(f"\n{title}: still needed: {', '.join(lacking)}." if lacking else f"\n{title}: nothing is missing.")
    write_report(
        args, {"ready": not lacking, "steps": list(steps), "requirements": [vars(one) for one in findings]}
    )
    return 1 if lacking else 0


def _needed(finding: Finding, steps: Sequence[str]) -> bool:
    return not finding.optional and not set(steps).isdisjoint(finding.steps)


def table(findings: Sequence[Finding], steps: Sequence[str]) -> str:
    """The result as aligned text. This command must work without any other package."""
    rows = [("", "NAME", "FOUND"), *(_cells(finding, steps) for finding in findings)]
    notes = ["NEEDED FOR", *(_note(finding) for finding in findings)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=True)), note])
        for row, note in zip(rows, notes, strict=True)
    )


def _cells(finding: Finding, steps: Sequence[str]) -> tuple[str, str, str]:
    if finding.status == "found":
        return "ok", finding.name, finding.version or "yes"
    return "!!" if _needed(finding, steps) else "--", finding.name, finding.version or "no"


def _note(finding: Finding) -> str:
    needed = "everything" if len(finding.steps) == len(STEPS) else ", ".join(finding.steps)
    needed += " (optional)" if finding.optional else ""
    if finding.status == "found":
        return needed
    trouble = "get it" if finding.status == "missing" else "this version is not supported"
    return f"{needed}; {trouble}: {finding.get}"
