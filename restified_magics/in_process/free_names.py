"""The names that a Model takes from its View: used in its cells, and defined nowhere in them."""

from __future__ import annotations

import ast
import builtins
import contextlib
import dis
import itertools
import types
from collections.abc import Iterator

from restified_magics.core.source import parse, python_source
from restified_magics.in_process.history import looks_back
from restified_magics.in_process.program import Program, nested_code

__all__ = ["free_names"]

_GIVEN = {
    "__name__",
    "__file__",
    "__builtins__",
    "__doc__",
    "__annotations__",
    "__spec__",
    "__loader__",
    "__package__",
}
_GIVEN |= {
    "get_ipython",
    "display",
    "exit",
    "quit",
    "__annotate__",
    "__conditional_annotations__",
}

#: Magics that bring names which nothing in the cell tells.
_BINDING = {"pylab", "run", "load_ext", "reload_ext", "store", "macro", "rerun", "recall"}
#: Extensions that bring none.
_NAMELESS = {"autoreload", "restified_magics"}

#: Stands for the names that a star import or such a magic brings.
_ANY = "*"


def free_names(program: Program) -> tuple[str, ...]:
    """Read off the compiled code: what is loaded before anything stores it.

    At top level order counts; a function's body runs later, when all names are there. After a star import,
    and magics such as ``%run``, any name may be there, and none is told.
    """
    known = set(vars(builtins)) | _GIVEN
    later: set[str] = set()
    found: set[str] = set()
    for step in program.steps:
        # a parameter without a value is assigned by no code, and every call gives it
        known.update(name for piece in step.pieces for name in piece.names)
        for code in filter(None, (step.body, step.last, step.automagic)):
            for name, stores in _uses(code):
                if stores:
                    known.add(name)
                elif name not in known and _ANY not in known:
                    found.add(name)
            known.update(_bound_by_magics(code))
            for magic in _python_in_magics(code):
                known.update(name for name, stores in _uses(magic) if stores)
            for nested in nested_code(code):
                if any(name == _ANY for name, _ in _uses(nested)):
                    known.add(_ANY)
                own = {name for name, stores in _uses(nested) if stores}  # a class body's names are its own
                later.update(name for name, stores in _uses(nested) if not stores and name not in own)
                known.update(name for name in _declared_global(nested))
    if _ANY not in known:
        found |= later - known
    return tuple(sorted(name for name in found if not looks_back(name)))


def _uses(code: types.CodeType) -> Iterator[tuple[str, bool]]:
    """The names that this code, without the functions in it, loads (False) and stores (True)."""
    constants: list[object] | None = None  # the arguments of a magic
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_NAME":
            yield instruction.argval, True
        elif instruction.opname in ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"):
            yield instruction.argval, False
        elif "IMPORT_STAR" in (instruction.opname, instruction.argrepr.removeprefix("INTRINSIC_")):
            yield _ANY, True
        elif instruction.argval == "run_line_magic":
            constants = []
        elif constants is not None and instruction.opname.startswith("LOAD_CONST"):
            constants.append(instruction.argval)
            if len(constants) == 2:
                if constants[0] in _BINDING and constants[1] not in _NAMELESS:
                    yield _ANY, True
                constants = None


def _declared_global(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_GLOBAL":
            yield instruction.argval


def _bound_by_magics(code: types.CodeType) -> Iterator[str]:
    """The variables that cell magics make: ``%%capture name``, ``%%bash --out name``."""
    if "run_cell_magic" not in code.co_names:
        return
    constants = [constant for constant in code.co_consts if isinstance(constant, str)]
    for magic, line in itertools.pairwise(constants):
        words = line.split()
        if magic == "capture":
            yield from [word for word in words if not word.startswith("-")][:1]
        yield from [name for flag, name in itertools.pairwise(words) if flag in ("--out", "--err", "--proc")]


def _python_in_magics(code: types.CodeType) -> Iterator[types.CodeType]:
    """The Python in the arguments of magics such as ``%%time`` and ``%%capture``, which may bind names."""
    if "get_ipython" not in code.co_names:
        return
    for constant in code.co_consts:
        if isinstance(constant, str):
            with contextlib.suppress(SyntaxError, ValueError, RecursionError):
                yield compile(
                    parse(python_source(constant)),
                    "<magic>",
                    "exec",
                    ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
                    dont_inherit=True,
                )
