"""Small faults for a module's source, one at a time: what `mutants.py` puts in to see whether a test notices.

A mutant is the module with one of these changes:

- a comparison at its edge (`<` for `<=`) or turned round; `and` for `or`; `not`, `-` and `~` dropped; a test negated
- `+` for `-`, `*` for `/`, `*` for `**`, `//` and `%`, `&` for `|`, also in `+=`; `+=` made `=`
- a number one more and one less (a float one more and half), True for False, another string, `axis` 0 for 1
- `min` for `max`, `any` for `all`, `ceil` for `floor`, "left" for "right" and the like; a keyword argument not given
- a slice's end, a comprehension's condition or a whole statement left out: a call, a `raise`, `continue` or `break` (or
  the one for the other), an assignment to a part of something or to a name that has a value already
- None returned

Left alone: annotations and types, decorators, imports, docstrings, f-strings, and what an error says.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

FLIPS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_PAIRS: Final = (("min", "max"), ("any", "all"), ("ceil", "floor"), ("minimum", "maximum"), ("left", "right"))
OTHERS: Final = dict(_PAIRS) | {two: one for one, two in _PAIRS}
TYPES: Final = {"Literal", "NDArray", "Mapping", "Sequence", "Callable", "tuple", "dict", "list"}
SKIPPED: Final = {"annotation", "returns", "decorator_list", "type_params"}
DROPPED: Final = (ast.AugAssign, ast.Raise, ast.Continue, ast.Break, ast.Delete)


@dataclass(frozen=True)
class Mutant:
    """One fault: the function it is in, the lines it changes, as they were and as they are, and the whole source."""

    where: str
    before: str
    after: str
    source: str
    inside: bool  # a function
    names: tuple[str, ...]  # what the changed statement gives a value to, where it stands in no function

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it within its module."""
        return self.where, self.before, self.after


def mutants(source: str) -> Iterator[Mutant]:
    """All single faults of a module, in the order of its lines."""
    tree = ast.parse(source)
    whole = ast.unparse(tree).splitlines()
    seen: Counter[tuple[str, str, str]] = Counter()
    for statement in tree.body:
        for path, holder, field, place, new in _edits(statement, tree, "body", tree.body.index(statement), ()):
            old = _put(holder, field, place, new)
            text = ast.unparse(ast.fix_missing_locations(tree))
            _put(holder, field, place, old)
            before, after = _difference(whole, text.splitlines())
            names = _named(statement) if isinstance(statement, ast.Assign | ast.AnnAssign) else ()
            where = ".".join(path)
            twice = seen[where, before, after] = seen[where, before, after] + 1
            inside = names == () and not (isinstance(statement, ast.ClassDef) and path == (statement.name,))
            yield Mutant(where, before, after if twice == 1 else f"{after} (place {twice})", text, inside, names)


Edit = tuple[tuple[str, ...], ast.AST, str, int | None, ast.AST]


def _edits(node: ast.AST, holder: ast.AST, field: str, place: int | None, path: tuple[str, ...]) -> Iterator[Edit]:
    """Each fault at this node and below it: where, and which node takes whose place."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr) or _is_type(node) or _is_docstring(node):
        return
    yield from ((path, holder, field, place, new) for new in _faults(node, holder, field))
    if isinstance(node, ast.Raise):
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        path = (*path, node.name)
        rebinding = _rebinding(node) if isinstance(node, ast.FunctionDef) else []
        yield from ((path, parent, name, at, ast.Pass()) for parent, name, at in rebinding)
    for name, value in ast.iter_fields(node):
        if name in SKIPPED:
            continue
        members = [(None, value)] if isinstance(value, ast.AST) else enumerate(value) if isinstance(value, list) else []
        for at, member in members:
            if isinstance(member, ast.AST):
                yield from _edits(member, node, name, at, path)


def _faults(node: ast.AST, holder: ast.AST, field: str) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                for flip in FLIPS[type(op)]:
                    yield _with(node, ops=[*ops[:at], flip(), *ops[at + 1 :]])
        case ast.BinOp(op=op) if type(op) in OPERATORS:
            yield _with(node, op=OPERATORS[type(op)]())
        case ast.AugAssign(target=target, op=op, value=value):
            yield _with(node, op=OPERATORS[type(op)]())
            yield ast.Assign([target], value)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.BoolOp(op=op):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.Constant(value=value):
            yield from (ast.Constant(other) for other in _constants(value, holder))
        case ast.Name(id=word) | ast.Attribute(attr=word) if word in OTHERS and isinstance(holder, ast.Call):
            yield _with(node, **{"id" if isinstance(node, ast.Name) else "attr": OTHERS[word]})
        case ast.Call(keywords=keywords):
            for at, keyword in enumerate(keywords):
                if keyword.arg not in (None, "axis"):  # of which another tells more
                    yield _with(node, keywords=[*keywords[:at], *keywords[at + 1 :]])
        case ast.Slice(lower=lower, upper=upper):
            yield from [_with(node, lower=None)] if lower else []
            yield from [_with(node, upper=None)] if upper else []
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            yield ast.Pass()
        case ast.Continue() | ast.Break():
            yield ast.Break() if isinstance(node, ast.Continue) else ast.Continue()
    if isinstance(node, DROPPED):
        yield ast.Pass()
    if isinstance(holder, ast.comprehension) and field == "ifs":
        yield ast.Constant(True)
    elif field == "test" and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield ast.UnaryOp(ast.Not(), cast(ast.expr, node))


def _constants(value: object, holder: ast.AST) -> tuple[bool | int | float | str, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(holder, ast.keyword) and holder.arg == "axis":
        return (1 - int(str(value)),)
    if isinstance(value, int):
        return value + 1, value - 1
    if isinstance(value, float):
        return value + 1, value / 2 if value else -1.0
    if isinstance(value, str):
        return (OTHERS.get(value, value + "?"),)
    return ()


def _rebinding(function: ast.FunctionDef) -> list[tuple[ast.AST, str, int]]:
    """Assignments to names that have a value already: without them the code still runs."""
    arguments = function.args
    known = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    found: list[tuple[ast.AST, str, int]] = []
    blocks: list[tuple[ast.AST, str]] = [(function, "body")]
    for parent, name in blocks:
        for at, statement in enumerate(getattr(parent, name)):
            blocks += [(statement, inner) for inner in ("body", "orelse") if getattr(statement, inner, None)]
            if isinstance(statement, ast.Assign):
                names = set(_named(statement))
                found += [(parent, name, at)] if names and names <= known else []
                known |= names
    return found


def _named(statement: ast.AST) -> tuple[str, ...]:
    return tuple(one.id for one in ast.walk(statement) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))


def _put(holder: ast.AST, field: str, place: int | None, new: ast.AST) -> ast.AST:
    """Put a node in its place and return the one that was there."""
    held = getattr(holder, field)
    if place is None:
        setattr(holder, field, new)
        return held  # type: ignore[no-any-return]
    old, held[place] = held[place], new
    return old  # type: ignore[no-any-return]


def _with(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_type(node: ast.AST) -> bool:
    match node:
        case ast.Subscript(value=ast.Name(id=name)):
            return name in TYPES
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
    return False


def _difference(before: list[str], after: list[str]) -> tuple[str, str]:
    """The lines that differ, without their indent."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    return " ⏎ ".join(line.strip() for line in old), " ⏎ ".join(line.strip() for line in new)
