"""What scripts/firmware-types checks against is the C module's own, and nothing is waved through without a reason."""

import ast
import re
from pathlib import Path

FIRMWARE = Path(__file__).parents[2] / "firmware"
STUB = FIRMWARE / "typings" / "dot11cap.pyi"
FAKE = Path(__file__).parent / "fakes" / "ear" / "dot11cap.py"
STREAM = {"ioctl", "poll"}  # of a stream; Python's view of it is io's


def methods(path: Path, name: str) -> set[str]:
    """Give the public methods of a class in a file."""
    classes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    found = next(node for node in classes if node.name == name)
    return {node.name for node in found.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}


def test_the_stub_the_stand_ins_and_the_module_have_the_same_methods() -> None:
    source = (FIRMWARE / "usermod" / "dot11cap" / "moddot11cap.c").read_text()
    table = re.search(r"ear_table\[\] = \{(.*?)\n\};", source, re.DOTALL)
    assert table
    of_c = {name for name in re.findall(r"MP_QSTR_(\w+)", table[1]) if not name.startswith("_")} - {"ELEMENT_TABLE"}
    stub = methods(STUB, "Ear")
    assert len(stub) > 10
    assert stub == of_c - {"inject", "flood", "cost"}  # of host builds alone
    assert stub == methods(FAKE, "_Ear") - STREAM
    assert stub - methods(FIRMWARE / "sensor" / "stock.py", "StockEar") == set()


def test_nothing_is_waved_through_without_a_reason() -> None:
    lines = [line for path in sorted((FIRMWARE / "sensor").glob("*.py")) for line in path.read_text().splitlines()]
    waved = [line for line in lines if "type: ignore" in line]
    assert waved
    assert [line for line in waved if not re.search(r"# type: ignore\[[a-z-]+\]  # \w", line)] == []
