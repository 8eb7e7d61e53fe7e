"""The annotations and literals of a notebook → Python types and values, read without running it.

A name is looked up in the notebook's own imports, Enum classes and type aliases. Only modules of an
allow-list are imported, all of which the import leaves as it found the process. Whatever would need
the notebook's code to run is ``UnreadableError``, with the reason.
"""

from __future__ import annotations

import ast
import enum
import importlib
import operator
import typing
from typing import Any

from restified_magics.core.source import parse
from restified_magics.signature.enums import NotebookEnumType, notebook_enum

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from restified_magics.signature.arithmetic import UNARY, worked_out
from restified_magics.signature.facts import Annotated, Described, Literal, Union, with_metadata
from restified_magics.signature.known_names import (
    BUILTINS,
    CONSTANTS,
    MODULES,
    UNCHECKED,
    VALUES,
    WELL_KNOWN,
    UnreadableError,
    canonical,
    fetched,
)

__all__ = ["AnnotationReader"]

_subscript: Callable[[Any, Any], Any] = operator.getitem


_SIGNED = {"Positive": "Gt", "Negative": "Lt", "NonNegative": "Ge", "NonPositive": "Le"}
_CONSTRAINED = {
    "int": int,
    "float": float,
    "str": str,
    "bytes": bytes,
    "list": list,
    "set": set,
    "decimal": "Decimal",
}
_LIMITS = {"ge": "Ge", "gt": "Gt", "le": "Le", "lt": "Lt", "multiple_of": "MultipleOf"}
_LIMITS |= {"min_length": "MinLen", "max_length": "MaxLen"}
_PYDANTIC_ONLY = frozenset({"pattern", "strict", "allow_inf_nan", "max_digits", "decimal_places"})
_ENUMS = {"enum.Enum", "enum.IntEnum", "enum.StrEnum", "enum.Flag", "enum.IntFlag"}


class AnnotationReader:
    """Reads annotations and literals in the light of what a notebook imports and defines.

    Args:
        trees: the parsed cells that a call executes.
        find: gives for a name the cells that may bind it, where parsing all of them would be slow.

    Example:
        >>> cell = ast.parse("from typing import Literal\\nimport datetime as dt")
        >>> reader = AnnotationReader([cell])
        >>> reader.read(ast.parse("list[dt.date]", mode="eval").body)
        list[datetime.date]
        >>> reader.literal(ast.parse("[60 * 60, dt.date(2026, 1, 31)]", mode="eval").body)
        [3600, datetime.date(2026, 1, 31)]
    """

    def __init__(
        self,
        trees: Iterable[ast.Module] = (),
        find: Callable[[str], Iterable[ast.Module]] | None = None,
    ) -> None:
        self._trees = trees
        self._find = find or (lambda _name: self._trees)
        self._names: dict[str, Any] = {}
        self._reading: set[str] = set()
        self.notes: list[str] = []

    def read(self, node: ast.expr) -> Any:
        """The type that an annotation means. Raises UnreadableError, with the reason."""
        try:
            return self._type(node)
        except RecursionError:
            raise UnreadableError("the annotation is nested too deep") from None
        except (TypeError, ValueError, LookupError) as error:  # what typing says to `Union[()]`
            raise UnreadableError(f"`{_shown(node)}` is not a type: {error}") from None

    def literal(self, node: ast.expr) -> Any:
        """The value of a literal, or of a constant expression of literals. Raises UnreadableError."""
        try:
            return self._value(node)
        except RecursionError:
            raise UnreadableError("it is nested too deep") from None
        except (ArithmeticError, ValueError, TypeError, LookupError) as error:
            raise UnreadableError(f"reading it gives {type(error).__name__}") from None

    # --- names ---------------------------------------------------------------------------------

    def _lookup(self, node: ast.expr) -> Any:
        """What a name means: a dotted path into a module as text, or a type or member of the notebook."""
        attributes: list[str] = []
        root = node
        while isinstance(root, ast.Attribute):
            attributes.insert(0, root.attr)
            root = root.value
        unknown = UnreadableError(f"`{_shown(node)}` is known only when the notebook runs")
        meant = self._name(root.id, is_module=bool(attributes)) if isinstance(root, ast.Name) else None
        if meant is None:
            raise unknown
        for attribute in attributes:
            if isinstance(meant, NotebookEnumType) and attribute in meant.__members__:
                meant = meant.__members__[attribute]
            elif isinstance(meant, str):
                meant = f"{meant}.{attribute}"
            else:
                raise unknown
        return canonical(meant) if isinstance(meant, str) else meant

    def _name(self, name: str, *, is_module: bool) -> Any:
        """What a name on its own means, or None."""
        if name in BUILTINS and not is_module:
            return f"builtins.{name}"
        if name not in self._names:
            if name in self._reading:
                raise UnreadableError(f"`{name}` refers to itself")
            self._reading.add(name)
            try:
                self._names[name] = self._bound(name)
            except UnreadableError as error:
                self._names[name] = error
            finally:
                self._reading.discard(name)
        meant = self._names[name]
        if meant is None:
            if is_module and name in MODULES:
                return name
            meant = f"typing.{name}" if name in typing.__all__ else WELL_KNOWN.get(name)
        if isinstance(meant, UnreadableError):
            raise meant
        return meant

    def _bound(self, name: str) -> Any:
        """What the notebook binds a name to, or None."""
        for tree in self._find(name):
            for statement in _statements(tree.body):
                if isinstance(statement, ast.Import):
                    for alias in statement.names:
                        if (alias.asname or alias.name.partition(".")[0]) == name:
                            return alias.name if alias.asname else name
                elif isinstance(statement, ast.ImportFrom):
                    found = _imported(statement, name)
                    if found:
                        return found
                elif isinstance(statement, ast.ClassDef) and statement.name == name:
                    return self._enum_class(statement)
                elif getattr(statement, "name", None) == name:
                    raise UnreadableError(f"`{name}` is a function of the notebook")
                elif value := _aliased(statement, name):
                    return self._alias(name, value)
        return None

    def _alias(self, name: str, value: ast.expr) -> Any:
        if isinstance(value, ast.Call):
            path = self._lookup(value.func)
            if path == "typing.NewType" and len(value.args) == 2:
                return self._type(value.args[1])
            if path in _ENUMS:
                return self._enum_call(name, path, value)
        return self._type(value)

    # --- types ---------------------------------------------------------------------------------

    def _type(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            if node.value is None:
                return None
            if isinstance(node.value, str):
                return self._type(_parsed(node.value))
        if isinstance(node, ast.Name | ast.Attribute):
            return self._named(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return Union[self._type(node.left), self._type(node.right)]
        if isinstance(node, ast.Subscript):
            return self._generic(node)
        if isinstance(node, ast.Call):
            path = self._lookup(node.func)
            if isinstance(path, str) and path.startswith("pydantic.con"):
                return self._constrained(path.removeprefix("pydantic.con"), node)
        raise UnreadableError(f"`{_shown(node)}` is not a type that can be read without running the notebook")

    def _named(self, node: ast.expr) -> Any:
        meant = self._lookup(node)
        if not isinstance(meant, str):
            if isinstance(type(meant), NotebookEnumType):
                raise UnreadableError(f"`{_shown(node)}` is a member, not a type")
            return meant
        module, _, name = meant.rpartition(".")
        if module == "pydantic":
            for sign, limit in _SIGNED.items():
                if name in (f"{sign}Int", f"{sign}Float"):
                    return Annotated[int if name.endswith("Int") else float, _limit(limit, 0)]
        if name in UNCHECKED:
            raise UnreadableError(
                f"`{_shown(node)}` says nothing that can be checked without using the value up"
            )
        origin = module.partition(".")[0]
        if origin != "builtins" and origin not in MODULES:
            raise UnreadableError(
                f"`{_shown(node)}` comes from {origin or 'a file'}, which reading does not import"
            )
        if name in ("Final", "ClassVar"):
            return Any
        found = BUILTINS.get(name) if module == "builtins" else fetched(meant)
        if found is None or not (
            isinstance(found, type) or type(found).__module__ in ("typing", "typing_extensions")
        ):
            raise UnreadableError(f"`{_shown(node)}` is not a type")
        if module == "pydantic":
            _assure(found)
        return found

    def _generic(self, node: ast.Subscript) -> Any:
        base = self._lookup(node.value)
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if base == "typing.Literal":
            return Literal[tuple(self.literal(argument) for argument in arguments)]
        if base == "typing.Optional":
            return Union[self._type(node.slice), None]
        if base == "typing.Union":
            return Union[tuple(map(self._type, arguments))]
        if base in ("typing.Final", "typing.ClassVar"):
            return self._type(node.slice)
        if base == "typing.Annotated":
            metadata = [item for argument in arguments[1:] for item in self._metadata(argument)]
            return with_metadata(self._type(arguments[0]), metadata)
        read = tuple(map(self._argument, arguments))
        return _subscript(self._named(node.value), read if isinstance(node.slice, ast.Tuple) else read[0])

    def _argument(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant) and node.value is ...:
            return ...
        if isinstance(node, ast.List):  # the arguments of a Callable
            return [self._type(item) for item in node.elts]
        return self._type(node)

    def _metadata(self, node: ast.expr) -> list[Any]:
        """What an argument of ``Annotated`` after the first says; what nobody reads leaves a note."""
        try:
            if not isinstance(node, ast.Call):
                return [Described(description=text)] if isinstance(text := self.literal(node), str) else []
            path = self._lookup(node.func)
            if path == "pydantic.Field":
                return self._constraints(node)
            if path in ("typing.Doc", "typing_extensions.Doc", "annotated_types.doc", "annotated_types.Doc"):
                return [Described(description=str(self.literal(node.args[0])))]
            if isinstance(path, str) and path.startswith("annotated_types.") and path.count(".") == 1:
                positional = [self.literal(argument) for argument in node.args]
                return [fetched(path)(*positional, **self._keywords(node))]
        except (UnreadableError, TypeError, IndexError):
            pass
        self.notes.append(f"`{_shown(node)}` in Annotated is not read, and so not enforced")
        return []

    def _keywords(self, call: ast.Call) -> dict[str, Any]:
        if any(keyword.arg is None for keyword in call.keywords):
            raise UnreadableError("arguments given by ** are known only when the notebook runs")
        return {str(keyword.arg): self.literal(keyword.value) for keyword in call.keywords}

    def _constrained(self, kind: str, call: ast.Call) -> Any:
        base = _CONSTRAINED.get(kind)
        if base is None:
            raise UnreadableError(f"`{_shown(call)}` is not read without running the notebook")
        if base == "Decimal":
            base = fetched("decimal.Decimal")
        if kind in ("list", "set") and call.args:
            base = _subscript(base, self._type(call.args[0]))
        return with_metadata(base, self._constraints(call))

    def _constraints(self, call: ast.Call) -> list[Any]:
        """The arguments of ``pydantic.Field`` or ``conint`` and its like, as metadata of Annotated."""
        given = self._keywords(call)
        found = [
            _limit(limit, given.pop(key)) for key, limit in _LIMITS.items() if given.get(key) is not None
        ]
        only = {key: given.pop(key) for key in _PYDANTIC_ONLY & given.keys()}
        if only:
            found.append(fetched("pydantic.Field")(**only))
        told = Described(
            str(given.pop("title", None) or ""), str(given.pop("description", None) or ""), given
        )
        return [*found, told] if told.title or told.description or told.options else found

    # --- Enum classes --------------------------------------------------------------------------

    def _enum_class(self, node: ast.ClassDef) -> Any:
        try:
            bases = [self._lookup(base) for base in node.bases]
        except UnreadableError:
            bases = []
        if not bases or bases[-1] not in _ENUMS or node.keywords:
            raise UnreadableError(f"`{node.name}` is a class of the notebook, known only when it runs")
        members: dict[str, Any] = {}
        for statement in node.body:
            match statement:
                case ast.FunctionDef(name="__new__" | "_generate_next_value_"):
                    raise UnreadableError(
                        f"the members of `{node.name}` are made by its own `{statement.name}`"
                    )
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if not name.startswith("_"):
                    members[name] = self._member(value, members)
        kinds = tuple(fetched(base) for base in bases if isinstance(base, str))
        return self._made(node.name, kinds, members)

    def _enum_call(self, name: str, path: str, call: ast.Call) -> Any:
        names = self.literal(call.args[1]) if len(call.args) == 2 and not call.keywords else None
        if isinstance(names, str):
            names = names.replace(",", " ").split()
        if isinstance(names, list | tuple) and all(isinstance(item, str) for item in names):
            names = {item: enum.auto() for item in names}
        elif isinstance(names, list | tuple):
            names = dict(names)
        if not isinstance(names, dict):
            raise UnreadableError(f"`{name}` is made by a call that reading does not make")
        return self._made(name, (fetched(path),), names)

    def _member(self, node: ast.expr, members: Mapping[str, Any]) -> Any:
        if isinstance(node, ast.Name) and node.id in members:
            return members[node.id]
        if isinstance(node, ast.Call) and ast.unparse(node).endswith("auto()"):
            return enum.auto()
        return self.literal(node)

    def _made(self, name: str, bases: tuple[Any, ...], members: Mapping[str, Any]) -> Any:
        try:
            return notebook_enum(name, bases, members)
        except Exception as error:  # noqa: BLE001  (whatever Enum itself has against the names or values)
            raise UnreadableError(f"`{name}` is no valid Enum: {error}") from None

    # --- values --------------------------------------------------------------------------------

    def _value(self, node: ast.expr) -> Any:  # noqa: PLR0911  (one return for each form of literal)
        match node:
            case ast.Constant(value=value):
                return value
            case ast.List(elts=items):
                return list(map(self._value, items))
            case ast.Tuple(elts=items):
                return tuple(map(self._value, items))
            case ast.Set(elts=items):
                return set(map(self._value, items))
            case ast.Dict(keys=keys, values=values) if None not in keys:
                return {self._value(k): self._value(v) for k, v in zip(keys, values, strict=True) if k}
            case ast.UnaryOp(op=op, operand=operand):
                return UNARY[type(op)](self._value(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return worked_out(op, self._value(left), self._value(right))
            case ast.JoinedStr(values=parts) if all(isinstance(part, ast.Constant) for part in parts):
                return "".join(str(self._value(part)) for part in parts)
            case ast.Call():
                return self._called(node)
            case ast.Name() | ast.Attribute():
                return self._constant(node)
        raise UnreadableError("it is not a literal")

    def _called(self, node: ast.Call) -> Any:
        try:
            path = self._lookup(node.func)
        except UnreadableError:
            path = None
        if path not in VALUES or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise UnreadableError(f"it calls `{_shown(node.func)}`")
        positional = [self._value(argument) for argument in node.args]
        make = BUILTINS[path[9:]] if path.startswith("builtins.") else fetched(path)
        return make(*positional, **self._keywords(node))

    def _constant(self, node: ast.expr) -> Any:
        try:
            meant = self._lookup(node)
        except UnreadableError:
            meant = None
        if isinstance(type(meant), NotebookEnumType):
            return meant
        if isinstance(meant, str) and meant in CONSTANTS:
            return CONSTANTS[meant]
        raise UnreadableError(f"it uses the name `{_shown(node)}`")


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a cell, those under ``if``, ``try`` and ``with`` included."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, part, []))
            for handler in getattr(statement, "handlers", []):
                yield from _statements(handler.body)


def _imported(statement: ast.ImportFrom, name: str) -> str | None:
    module = "." * statement.level + (statement.module or "")
    for alias in statement.names:
        if (alias.asname or alias.name) == name:
            return f"{module}.{alias.name}"
        if alias.name == "*" and module in MODULES:
            loaded = importlib.import_module(module)
            if name in getattr(loaded, "__all__", vars(loaded)) and not name.startswith("_"):
                return f"{module}.{name}"
    return None


def _aliased(statement: ast.stmt, name: str) -> ast.expr | None:
    """The value of ``name = ...``, ``name: TypeAlias = ...`` or ``type name = ...``."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
            return value
        case ast.AnnAssign(target=ast.Name(id=target), value=value, annotation=annotation) if target == name:
            return value if ast.unparse(annotation).endswith("TypeAlias") else None
    if type(statement).__name__ == "TypeAlias":  # Python 3.12 and later
        alias: Any = statement
        return alias.value if alias.name.id == name and not alias.type_params else None
    return None


def _assure(annotation: Any) -> None:
    """Some types of pydantic need other packages, which is known only when a validator is made."""
    from pydantic import TypeAdapter  # here, since the type comes from there, and so it is imported

    try:
        TypeAdapter(annotation)
    except Exception as error:  # noqa: BLE001  (ImportError, or any error of pydantic's own)
        raise UnreadableError(f"pydantic cannot check it here: {error}") from None


def _limit(name: str, value: Any) -> Any:
    import annotated_types  # here, since most notebooks have no need of it

    return getattr(annotated_types, name)(value)


def _parsed(text: str) -> ast.expr:
    try:
        return parse(f"({text}\n)").body[0].value  # type: ignore[attr-defined, no-any-return]
    except (SyntaxError, ValueError, RecursionError, MemoryError, AttributeError):
        raise UnreadableError(f"{text!r} is not a type") from None


def _shown(node: ast.expr) -> str:
    try:
        text = ast.unparse(node)
    except (RecursionError, ValueError):
        return "the expression"
    return text if len(text) <= 60 else text[:59] + "…"
