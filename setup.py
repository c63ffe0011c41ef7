# SPDX-License-Identifier: BSD-3-Clause
"""Build: one extension for each .pyx of the tree. The compiler directives of the whole project stand here.

The repository has `apps/` and `pmd/` at its top; they are built and imported as `dataplane.apps` and `dataplane.pmd`, by the
links dataplane/apps and dataplane/pmd.

``DATAPLANE_CFLAGS`` is appended to the compiler's flags (``-march=native``, ``-fsanitize=address``, ...); ``DATAPLANE_JOBS``
says how many processes and compilers work at once; ``DATAPLANE_BENCH=1`` builds the loops of ``bench/`` too, which only
benchmarks and tests need. Where they have been built once they are kept up to date.
"""

import os
import sys
from pathlib import Path
from sysconfig import get_platform

import numpy
from Cython.Build import cythonize
from Cython.Compiler.ExprNodes import AttributeNode
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

PACKAGES = ("dataplane", "dataplane/pmd", "dataplane/apps")
LINKS = {"dataplane/pmd": "../pmd", "dataplane/apps": "../apps"}
for link, target in LINKS.items():
    if not Path(link).is_dir():
        sys.exit(
            f"{link} is no link to {target}: git needs core.symlinks=true here; then 'git checkout -- {link}'"
        )
if os.environ.get("DATAPLANE_BENCH") == "1" or any(Path("bench").rglob("*.so")):
    PACKAGES += ("bench",)

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": True,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": True,
    "nonecheck": True,
    "embedsignature": True,
    "auto_pickle": False,
}

# Modules whose Python-facing code runs for each burst. Checks were measured to cost a tenth of a NumPy app's time there, so
# they look for themselves.
UNCHECKED = ("dataplane.columns.burst", "dataplane.columns.field", "dataplane.columns.numbers")

_check_for_none = AttributeNode.wrap_obj_in_nonecheck


def _check_for_none_with_gil(node, scope) -> None:
    """`nonecheck` where an exception can be raised. Code without the GIL (every hot loop) must not pay for it, and Cython
    cannot compile the check there: whoever lets go of the GIL looks first.
    """
    if not scope.nogil:
        _check_for_none(node, scope)


AttributeNode.wrap_obj_in_nonecheck = _check_for_none_with_gil

CFLAGS = [
    "-std=gnu11",
    "-O3",
    # Where a hot loop lands must not depend on what stands before it in its file: measured, up to 7 % of its cycles.
    "-falign-functions=64",
    "-falign-loops=32",
    "-g1",
    "-fno-strict-aliasing",  # descriptors are written as integers and read as structs
    "-fno-semantic-interposition",
    "-Wall",
    "-Wextra",
    "-Werror",
    # What Cython's generated code needs; our own headers are clean without them.
    "-Wno-unused-parameter",
    "-Wno-unused-function",
    "-Wno-missing-field-initializers",
    "-Wno-sign-compare",
    "-Wno-cast-function-type",
    "-Wno-implicit-fallthrough",
]


def extensions() -> list[Extension]:
    flags = CFLAGS + os.environ.get("DATAPLANE_CFLAGS", "").split()
    sources = sorted(path for package in PACKAGES for path in Path(package).rglob("*.pyx"))
    return [
        Extension(
            ".".join(path.with_suffix("").parts),
            [str(path)],
            include_dirs=[
                "dataplane/include",
                "pmd/datasheet",
                "pmd/ixgbe",
                "pmd/model",
                numpy.get_include(),
            ],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_23_API_VERSION")],
            depends=[str(header) for package in PACKAGES for header in sorted(Path(package).rglob("*.h"))],
            extra_compile_args=flags,
        )
        for path in sources
    ]


JOBS = int(os.environ.get("DATAPLANE_JOBS", "0"))


class BuildExt(build_ext):
    """The benchmarks' loops belong to a checkout: they are built in place and left out of wheels. `JOBS` compile at once.

    An editable install takes what `build_ext --inplace` has built; setuptools would compile all of it anew in a folder that
    it throws away.
    """

    def finalize_options(self) -> None:
        if self.editable_mode:
            kind = f"{get_platform()}-{sys.implementation.cache_tag}"
            self.build_lib, self.build_temp = f"build/lib.{kind}", f"build/temp.{kind}"
        super().finalize_options()
        self.parallel = self.parallel or JOBS or None
        if not self.inplace:
            self.extensions = [e for e in self.extensions if not e.name.startswith("bench.")]


class SourceArchive(sdist):
    """Each file is in the archive once, under its own folder, and the links are links."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        here = Path.cwd()
        once = {str(Path(name).resolve().relative_to(here)) for name in files}
        super().make_release_tree(base_dir, sorted(once))
        for link, target in LINKS.items():
            Path(base_dir, link).symlink_to(target)


# cythonize() looks at the sources only: what this file says is in every module too.
STAMP = Path("build/cython/.setup")
SAID = Path(__file__).read_text()
changed = not STAMP.exists() or STAMP.read_text() != SAID
EXTENSIONS = extensions()


def cythonized(modules: list[Extension], directives: dict[str, object]) -> list[Extension]:
    return cythonize(
        modules,
        compiler_directives=directives,
        build_dir="build/cython",
        force=changed or None,
        nthreads=JOBS,
        show_all_warnings=False,
    )


setup(
    cmdclass={"build_ext": BuildExt, "sdist": SourceArchive},
    ext_modules=[
        *cythonized([e for e in EXTENSIONS if e.name not in UNCHECKED], DIRECTIVES),
        *cythonized(
            [e for e in EXTENSIONS if e.name in UNCHECKED],
            DIRECTIVES | {"boundscheck": False, "nonecheck": False},
        ),
    ],
)

STAMP.parent.mkdir(parents=True, exist_ok=True)
STAMP.write_text(SAID)
