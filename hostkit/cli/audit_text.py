"""What commands that run checks print: findings with their next step, and what could not be checked."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from hostkit.cli import text
from hostkit.identity.audit import Result


def run(name: str, results: Iterator[Result], count: int) -> list[Result]:
    """Do the checks, with a bar."""
    done = []
    with text.progress_bar(name, long=0) as progress:
        for result in results:
            done.append(result)
            progress(len(done), count)
    return done


def show(results: Sequence[Result]) -> None:
    """Print the findings as a table and what was not checked as remarks."""
    rows = [
        (one.severity.value, one.check, f"{one.where}: {one.what}; {one.next_step}")
        for result in results
        for one in result.findings
    ]
    if rows:
        text.table(("severity", "check", "finding"), rows)
    for result in results:
        if result.skipped:
            text.remark(f"{result.check}: not checked; {result.skipped}")
    done = sum(result.skipped is None for result in results)
    text.emit(f"{done} of {len(results)} checks done, {len(rows)} findings\n")


def as_object(results: Sequence[Result]) -> dict[str, object]:
    """Give findings and checks as they stand in JSON."""
    findings = [asdict(one) for result in results for one in result.findings]
    checks = [{"check": one.check, "findings": len(one.findings), "skipped": one.skipped} for one in results]
    return {"findings": findings, "checks": checks}
