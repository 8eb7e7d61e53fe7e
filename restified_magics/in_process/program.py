"""The cells of a notebook, compiled once: what a call runs."""

from __future__ import annotations
import __future__

import ast
import builtins
import collections
import dataclasses
import functools
import keyword
import linecache
import pathlib
import re
import threading
import types
import weakref
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from restified_magics.core.notebook import Cell, Notebook
from restified_magics.core.source import parse, python_source
from restified_magics.in_process.history import looks_back
from restified_magics.wire.annotated import annotation_of
from restified_magics.wire.magic_code import as_lines, is_magic
from restified_magics.wire.once import assigned_once

__all__ = ["Assignment", "Program", "Step", "adopt", "cell_of", "compiled", "nested_code"]

_ASYNC = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect is slow to import

#: A Model that mentions one of these gets a ``__main__`` of its own: pickle, dataclasses and
#: typing look classes up there. It costs that such calls wait for each other.
_NEEDS_MAIN = re.compile(
    r"\bclass\b|get_ipython|__main__|pickle|multiprocess|concurrent|joblib|n_jobs|namedtuple|TypedDict|NewType"
    r"|doctest|dataclass|Enum\(|get_type_hints|dask|dill|shelve|\bray\b|pydantic|sys\.modules"
)
_IMPORTED = re.compile(r"^[ \t]*(?:from|import)[ \t]+(\w+)", re.MULTILINE)
_NEEDS_SHELL = re.compile(r"get_ipython|IPython")
_MAGICS = frozenset(("run_line_magic", "run_cell_magic"))
_PROMPTS = re.compile(r"getpass|breakpoint|pdb")
_USES_LOOP = re.compile(
    r"create_task|ensure_future|event_loop|running_loop|TaskGroup|Future\(|call_soon|call_later"
)
_ONE_WORD = re.compile(r"([A-Za-z_]\w*)(?:[ \t]+(.*?))?[ \t;]*\Z")


class Assignment(NamedTuple):
    """A statement of a `parameters` cell, or a run of statements between two of them.

    ``names`` are the parameters that it assigns; a call that gives values for all of ``targets``
    runs no more of it than its annotation.
    """

    code: types.CodeType
    names: tuple[str, ...] = ()
    targets: frozenset[str] = frozenset()
    annotation: types.CodeType | None = None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A compiled cell.

    Attributes:
        body: everything but a last expression.
        last: the last expression; in a `return` cell what gives the value.
        shows: whether Jupyter would display the value of `last`.
        pieces: the body of a cell with parameters, cut at their assignments.
        error: what the compiler said instead.
        automagic: runs instead, where `name`, the first word of a cell of one line, is no variable.
        plain: it has only `body` and `last`, and neither awaits: it can run with no more ado.
        on_loop: it does not await, but makes tasks for a cell that does.
        captures: it is a cell of ``%%capture``, which would hide that it failed.
        magics: it calls magics, which may run code that stands in the cell.
        keeps: in a `return` cell that ends in a magic, its line.
    """

    cell: Cell
    filename: str
    body: types.CodeType | None = None
    last: types.CodeType | None = None
    returns: bool = False
    shows: bool = False
    pieces: tuple[Assignment, ...] = ()
    error: Exception | None = None
    name: str = ""
    automagic: types.CodeType | None = None
    plain: bool = False
    on_loop: bool = False
    captures: bool = False
    magics: bool = False
    keeps: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """The steps of a notebook up to where the first `return` cell ends it, and what they need.

    Attributes:
        steps: a `Step` for each cell that a call runs.
        quick: the same, with the one piece of code that is all of the cell, or None where it takes more,
            and whether it calls or imports anything, without which no figure is made.
        needs_main: its classes must be found in ``sys.modules["__main__"]``.
        needs_shell: it uses IPython's shell: magics, ``!commands``, ``get_ipython()``.
        looks_back: a cell uses ``_``, ``Out`` and the like: what cells before it have shown.
        prompts: a cell may ask for a password, or stop in the debugger.
    """

    steps: tuple[Step, ...]
    quick: tuple[tuple[types.CodeType | None, bool, Step], ...]
    needs_main: bool
    needs_shell: bool
    looks_back: bool
    prompts: bool


_programs: weakref.WeakKeyDictionary[Notebook, Program] = weakref.WeakKeyDictionary()
_compiling = threading.Lock()


def compiled(notebook: Notebook) -> Program:
    """The program of this version of a notebook, compiled at the first call."""
    program = _programs.get(notebook)
    if program is None:
        with _compiling:
            program = _programs.get(notebook)
            if program is None:
                program = _programs[notebook] = _compile(notebook)
    return program


def adopt(notebook: Notebook, program: Program) -> None:
    """Take over a program that was compiled in another process, for all of this one's life."""
    for step in program.steps:
        lines = [line + "\n" for line in step.cell.source.split("\n")]
        linecache.cache[step.filename] = (len(step.cell.source), None, lines, step.filename)
        _cells[step.filename] = (notebook.name, step.cell.number)
    _programs[notebook] = program


def _compile(notebook: Notebook) -> Program:
    steps: list[Step] = []
    flags = 0
    sources: list[str] = []
    bound: set[str] = set()
    sites = _sites(notebook)
    for cell in notebook.to_run:
        text = _ending(python_source(cell.source), bound)
        sources.append(text)
        step, flags = _step(notebook, cell, text, flags, sites, bound)
        steps.append(step)
        for code in (step.body, step.last):
            if code is not None:
                bound.update(code.co_names)
    joined = "\n".join(sources)
    if any(_awaits(code) for step in steps for code in (step.body, step.last)):
        steps = [
            dataclasses.replace(step, plain=False, on_loop=True)
            if _USES_LOOP.search(step.cell.source)
            else step
            for step in steps
        ]
    shell = any(step.automagic for step in steps) or _NEEDS_SHELL.search(joined) is not None
    return Program(
        steps=tuple(steps),
        quick=tuple(
            (_only_code(step), any(mark in step.cell.source for mark in ("(", "import", "@", "%", "!")), step)
            for step in steps
        ),
        needs_main=shell
        or _NEEDS_MAIN.search(joined) is not None
        or _imports_beside(joined, notebook.folder),
        needs_shell=shell,
        looks_back=any(map(looks_back, _names(steps))),
        prompts=_PROMPTS.search(joined) is not None,
    )


def _names(steps: Sequence[Step]) -> Iterator[str]:
    """The names that the cells use, as globals or as attributes."""
    for step in steps:
        for code in (step.body, step.last):
            if code is not None:
                yield from code.co_names
                for nested in nested_code(code):
                    yield from nested.co_names


def _ending(text: str, bound: set[str]) -> str:
    """A cell that is only ``exit`` or ``quit`` calls it, as it does in Jupyter."""
    word = text.strip()
    return f"{text.rstrip()}()" if word in ("exit", "quit") and word not in bound else text


def _imports_beside(source: str, folder: pathlib.Path | None) -> bool:
    """Whether modules beside the notebook are imported: nobody knows what they do with its functions."""
    return folder is not None and any(
        (folder / f"{name}.py").is_file() or (folder / name).is_dir()
        for name in set(_IMPORTED.findall(source))
    )


def _only_code(step: Step) -> types.CodeType | None:
    """The one piece of code that is all of a plain cell."""
    if not step.plain or step.returns or (step.body is not None and step.last is not None):
        return None
    return step.body or step.last


_Sites = dict[tuple[int, int, int], list[str]]


def _sites(notebook: Notebook) -> _Sites:
    """The parameters that are assigned by the statement at (cell, line, column)."""
    found: _Sites = {}
    for name, parameter in notebook.fields.parameters.items():
        for site in parameter.sites:
            found.setdefault(site, []).append(name)
    return found


def _step(
    notebook: Notebook, cell: Cell, text: str, flags: int, sites: _Sites, bound: set[str]
) -> tuple[Step, int]:
    filename = _filename(notebook, cell)
    _used_by(filename, notebook)
    automagic = _automagic(text, filename, bound)
    try:
        tree = parse(text)
        flags |= _future(tree)
        make = functools.partial(_code, filename=filename, flags=flags | _ASYNC)
        before, value = _parts(tree, returns=cell.role == "return")
        body = make(before) if before else None
        last = make(value) if value is not None else None
        pieces = tuple(_pieces(before, cell, sites, make))
        captures = cell.source.lstrip().startswith("%%capture")
        magics = automagic[1] is not None or any(_calls_magics(code) for code in (body, last))
        step = Step(
            cell,
            filename,
            body=body,
            last=last,
            returns=cell.role == "return",
            shows=bool(tree.body) and isinstance(tree.body[-1], ast.Expr),
            pieces=pieces,
            name=automagic[0],
            automagic=automagic[1],
            captures=captures,
            magics=magics,
            keeps=_keeps(value, automagic[1]) if cell.role == "return" else None,
            plain=cell.role != "parameters"
            and (body is not None or last is not None)
            and not (pieces or magics)
            and not (_awaits(body) or _awaits(last)),
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if automagic[1] is not None:
            returns = cell.role == "return"
            keeps = 1 if returns else None
            return Step(
                cell,
                filename,
                returns=returns,
                name=automagic[0],
                automagic=automagic[1],
                magics=True,
                keeps=keeps,
            ), flags
        if isinstance(error, SyntaxError):
            error.filename = filename
        error.__traceback__ = None
        return Step(cell, filename, error=error, returns=cell.role == "return"), flags
    for code in (body, last, *(piece.code for piece in pieces)):
        if code is not None:
            _used_by(filename, *nested_code(code))
    return step, flags


def _code(nodes: ast.expr | Sequence[ast.stmt], *, filename: str, flags: int) -> types.CodeType:
    code: types.CodeType
    if isinstance(nodes, ast.expr):
        code = compile(ast.Expression(nodes), filename, "eval", flags, dont_inherit=True)
    else:
        code = compile(ast.Module(list(nodes), []), filename, "exec", flags, dont_inherit=True)
    return code


def _awaits(code: types.CodeType | None) -> bool:
    return code is not None and bool(code.co_flags & _COROUTINE)


def _future(tree: ast.Module) -> int:
    """The flags of the cell's ``from __future__`` imports, which hold for later cells too."""
    flags = 0
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            for alias in statement.names:
                feature = getattr(__future__, alias.name, None)
                flags |= getattr(feature, "compiler_flag", 0)
    return flags


def _parts(tree: ast.Module, *, returns: bool) -> tuple[list[ast.stmt], ast.expr | None]:
    """The statements to execute, and the expression whose value is displayed or returned."""
    if not tree.body:
        return [], None
    *before, last = tree.body
    if isinstance(last, ast.Expr):
        return before, as_lines(last.value) if returns else last.value
    if returns and isinstance(last, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        body, value, ends = assigned_once(last)
        if ends is None:
            return tree.body, value
        kept = ast.copy_location(ast.Assign([ast.Name(_KEPT, ast.Store())], value), last)
        return [*before, *body, ast.fix_missing_locations(kept), ends], _KEPT_VALUE
    return tree.body, None


#: Under this name, which no cell can have, ``d[next(it)] = 3`` keeps its value: to read the target once more
#: would evaluate it twice. The expression takes the value away.
_KEPT = "<value>"
_KEPT_VALUE = ast.parse(f"__import__('builtins').globals().pop({_KEPT!r})", mode="eval").body


def _calls_magics(code: types.CodeType | None) -> bool:
    return code is not None and not _MAGICS.isdisjoint(code.co_names)


def _keeps(value: ast.expr | None, automagic: types.CodeType | None) -> int | None:
    """The line of the magic in which a `return` cell ends, or None where it ends in something else."""
    if automagic is not None:
        return 1
    return value.lineno if value is not None and is_magic(value) else None


def _pieces(
    body: Sequence[ast.stmt], cell: Cell, sites: _Sites, make: functools.partial[types.CodeType]
) -> Iterator[Assignment]:
    """The cell cut at the statements that assign parameters; nothing where there are none."""
    between: list[ast.stmt] = []
    cut = False
    for statement in body:
        names = sites.get((cell.number - 1, statement.lineno, statement.col_offset))
        if not names:
            between.append(statement)
            continue
        cut = True
        if between:
            yield Assignment(make(between))
            between = []
        annotation = annotation_of(statement)
        yield Assignment(
            code=make([statement]),
            names=tuple(names),
            targets=frozenset(_targets(statement)),
            annotation=None if annotation is None else make([annotation]),
        )
    if cut and between:
        yield Assignment(make(between))


def _targets(statement: ast.stmt) -> Iterator[str]:
    """The names a statement binds; a target that is no name is named so that no call can give it."""
    listed = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    for target in listed:
        for node in target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]:
            yield node.id if isinstance(node, ast.Name) else "<not a name>"


# ------------------------------------------------------------------ automagic


def _automagic(text: str, filename: str, bound: set[str]) -> tuple[str, types.CodeType | None]:
    """A cell of one line like ``pip install x`` or ``ls`` is a magic without its %, as in IPython."""
    line = text.strip()
    match = _ONE_WORD.match(line) if "\n" not in line else None
    if match is None or match[1] in bound or keyword.iskeyword(match[1]) or hasattr(builtins, match[1]):
        return "", None
    rest = match[2] or ""
    if rest[:1] in "=.,([" and rest:
        return "", None
    from restified_magics.in_process.shell import has_line_magic  # needs IPython, and few cells get here

    if not has_line_magic(match[1]):
        return "", None
    call = f"get_ipython().run_line_magic({match[1]!r}, {rest!r})"
    return match[1], _code(ast.parse(call, mode="eval").body, filename=filename, flags=_ASYNC)


def nested_code(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of the functions and classes in `code`, to any depth."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from nested_code(constant)


# ----------------------------------------------------------------- file names

_cells: dict[str, tuple[str, int]] = {}
_users: collections.Counter[str] = collections.Counter()


def cell_of(filename: str) -> tuple[str, int] | None:
    """The notebook's name and the cell's number, for the file name of a compiled cell."""
    return _cells.get(filename)


def _filename(notebook: Notebook, cell: Cell) -> str:
    """A name for tracebacks, warnings and the debugger, under which they find the cell's lines.

    An edited cell gets another name while functions of the old version still live: one that people read as
    the same, with blanks at its end.
    """
    filename = f"{notebook.path or notebook.name}, cell {cell.number}"
    lines = [line + "\n" for line in cell.source.split("\n")]
    while filename in linecache.cache and linecache.cache[filename][2] != lines:  # type: ignore[misc]
        filename += " "
    # no time stamp: linecache then never looks for such a file
    linecache.cache[filename] = (len(cell.source), None, lines, filename)
    _cells[filename] = (notebook.name, cell.number)
    return filename


def _used_by(filename: str, *owners: object) -> None:
    """Keep a file name's lines for as long as any of these, functions of the cell among them, lives."""
    for owner in owners:
        _users[filename] += 1
        weakref.finalize(owner, _forget, filename).atexit = False


def _forget(filename: str) -> None:
    _users[filename] -= 1
    if not _users[filename]:
        del _users[filename]
        linecache.cache.pop(filename, None)
        _cells.pop(filename, None)
