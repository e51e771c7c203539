"""`narrowgauge doctor`: every tool and package that any step needs, found or how to get it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .common import Commands, add_command, write_report
from .requirements import REQUIREMENTS, Finding, Requirement, examine


def add_parser(commands: Commands) -> None:
    """Adds `doctor` to the sub-commands."""
    add_command(commands, "doctor", run, "list what each step needs: the version found, or how to get it")


def run(args: argparse.Namespace) -> int:
    """Prints the table; 1 when training, export or verification could not run, else 0."""
    return report(args, REQUIREMENTS)


def report(args: argparse.Namespace, requirements: Sequence[Requirement]) -> int:
    """Examines `requirements`, prints them and returns the exit status of `run`."""
    findings = examine(requirements)
    lacking = [finding.name for finding in findings if finding.base and finding.status != "found"]
    print(table(findings))
    if lacking:
        print(f"\nTraining, export and verification in Python still need: {', '.join(lacking)}.")
    else:
        print("\nTraining, export and verification in Python have all they need.")
    write_report(args, {"ready": not lacking, "requirements": [vars(finding) for finding in findings]})
    return 1 if lacking else 0


def table(findings: Sequence[Finding]) -> str:
    """The findings as aligned text: this command must work where no other package is installed yet."""
    rows = [("", "NAME", "FOUND"), *(_cells(finding) for finding in findings)]
    notes = ["NEEDED FOR", *(_note(finding) for finding in findings)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=True)), note])
        for row, note in zip(rows, notes, strict=True)
    )


def _cells(finding: Finding) -> tuple[str, str, str]:
    if finding.status == "found":
        return "ok", finding.name, finding.version or "yes"
    return "!!" if finding.base else "--", finding.name, finding.version or "no"


def _note(finding: Finding) -> str:
    if finding.status == "found":
        return finding.step
    trouble = "get it" if finding.status == "missing" else "this version will not do"
    return f"{finding.step}; {trouble}: {finding.get}"
