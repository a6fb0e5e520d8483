"""What a query of Prometheus names: metrics, labels, and the values that it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser


@dataclass(frozen=True)
class Selected:
    """One metric in a query. `labels`: those it is matched or summed by."""

    name: str
    equal: tuple[tuple[str, str], ...]
    labels: frozenset[str]


def selected(query: str) -> list[Selected]:
    """Every metric of a query, with the labels asked of it there and by what stands around it."""
    return list(_walk(promql_parser.parse(query), frozenset()))


# Any: the parser's tree has no types.
def _walk(node: Any, around: frozenset[str]) -> Iterator[Selected]:
    kind = type(node).__name__
    if kind == "VectorSelector":
        matchers = node.matchers.matchers
        equal = tuple((one.name, one.value) for one in matchers if one.op == promql_parser.MatchOp.Equal)
        yield Selected(node.name, equal, around | {one.name for one in matchers})
    elif kind == "MatrixSelector":
        yield from _walk(node.vector_selector, around)
    elif kind == "AggregateExpr":
        by = node.modifier is not None and node.modifier.type == promql_parser.AggModifierType.By
        # Summing leaves these labels only, so what stands around can ask for no others.
        yield from _walk(node.expr, frozenset(node.modifier.labels) if by else frozenset())
    elif kind == "Call":
        for argument in node.args:
            yield from _walk(argument, around)
    elif kind == "BinaryExpr":
        yield from _walk(node.lhs, around)
        yield from _walk(node.rhs, around)
    elif kind in ("ParenExpr", "UnaryExpr", "SubqueryExpr"):
        yield from _walk(node.expr, around)
    else:
        assert kind in ("NumberLiteral", "StringLiteral"), kind
