"""Wheels that hold a metadata file and, for `footfall`, a command: enough for pip to install and to refuse."""

import zipfile
from collections.abc import Sequence
from pathlib import Path


def wheel(  # noqa: PLR0917
    folder: Path,
    name: str,
    version: str = "1.0",
    tag: str = "py3-none-any",
    requires: Sequence[str] = (),
    extras: Sequence[str] = (),
    *,
    command: bool = False,
) -> Path:
    """Write one; give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Provides-Extra: {one}" for one in extras] + [f"Requires-Dist: {one}" for one in requires]
    files = {
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{name}_module.py": f"def main():\n    print('{name} {version} runs')\n",
    }
    if command:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{name} = {name}_module:main\n"
    files[f"{info}/RECORD"] = "".join(f"{one},,\n" for one in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for one, content in files.items():
            archive.writestr(one, content)
    return path
