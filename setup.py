"""Builds the Cython kernels of cext/ as hostkit.core._*; FOOTFALL_DEBUG=1 turns bounds checks back on."""

import os
import sys
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("FOOTFALL_DEBUG") == "1"
NATIVE_SOURCES = {
    "_dot11": ["cext/dot11.c"],
    "_ble": ["cext/ble.c", "cext/dot11.c"],
    "_locate": ["cext/locate.c", "cext/locate_avx2.c"],
}

extensions = [
    Extension(
        f"hostkit.core.{pyx.stem}",
        [str(pyx), *NATIVE_SOURCES.get(pyx.stem, [])],
        include_dirs=["cext", numpy.get_include()],
        depends=[str(header) for header in sorted(Path("cext").glob("*.h"))],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=["-O0", "-g"] if DEBUG else ["-O3", "-g0", "-std=c99", "-Wall"],
    )
    for pyx in sorted(Path("cext").glob("_*.pyx"))
]

setup(
    # The kernels use GCC's vector types, which clang has too and MSVC has not: on Windows MinGW-w64 builds them.
    options={"build_ext": {"compiler": "mingw32"}} if sys.platform == "win32" else {},
    ext_modules=cythonize(
        extensions,
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": DEBUG,
            "freethreading_compatible": False,
        },
    ),
)
