"""What can be wrong in a rule on frames, as mutations for cosmic-ray: its own operators change numbers, comparisons and the like, but such a rule
lies in its calls: what is filtered, sorted, joined, filled, and which of several rows is kept.

Nodes are those of parso, in which a call is a chain: `x`, `.filter`, `(a, b)`, `.sort`, `("c")`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from cosmic_ray.operators.operator import Example, Operator

Node = Any  # parso has no types
Position = tuple[tuple[int, int], tuple[int, int]]


def calls(node: Node) -> Iterator[tuple[int, str, Node]]:
    """(place of `.name` in the chain, name, the arguments' trailer) of each call of a method in a chain."""
    if node.type in ("atom_expr", "power"):
        for place, (name, arguments) in enumerate(zip(node.children, node.children[1:], strict=False)):
            if name.type == arguments.type == "trailer" and name.children[0].value == "." and arguments.children[0].value == "(":
                yield place, name.children[1].value, arguments


class LeaveOutCall(Operator):  # type: ignore[misc]  # cosmic-ray has no types
    """x.filter(a) becomes x: a step is forgotten."""

    STEPS = frozenset(
        {
            "filter",
            "sort",
            "unique",
            "fill_null",
            "drop_nulls",
            "clip",
            "over",
            "shift",
            "rename",
            "drop",
            "strip_suffix",
            "cast",
            "forward_fill",
        }
    )

    def mutation_positions(self, node: Node) -> list[Position]:
        """Every such call."""
        return [(node.children[place].start_pos, arguments.end_pos) for place, name, arguments in calls(node) if name in self.STEPS]

    def mutate(self, node: Node, index: int) -> Node:
        """Take `.name(...)` out of the chain."""
        place = [place for place, name, _ in calls(node) if name in self.STEPS][index]
        del node.children[place : place + 2]
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """For cosmic-ray's own tests."""
        return (Example("x.filter(a).y()", "x.y()"),)


class LeaveOutArgument(Operator):  # type: ignore[misc]  # cosmic-ray has no types
    """x.filter(a, b) becomes x.filter(a), or x.filter(b): a condition, a column or a fallback is forgotten."""

    OF = frozenset(
        {"filter", "sort", "unique", "group_by", "coalesce", "all_horizontal", "any_horizontal", "max_horizontal", "min_horizontal", "over"}
    )

    def arguments_of(self, node: Node) -> Iterator[tuple[Node, int]]:
        """(list of arguments, place in it) of each positional argument that is not the only one."""
        for _, name, trailer in calls(node):
            listed = trailer.children[1]
            if name in self.OF and listed.type == "arglist":
                positional = [place for place, each in enumerate(listed.children) if each.type not in ("argument", "operator")]
                yield from ((listed, place) for place in positional if len(positional) > 1)

    def mutation_positions(self, node: Node) -> list[Position]:
        """Every such argument."""
        return [(listed.children[place].start_pos, listed.children[place].end_pos) for listed, place in self.arguments_of(node)]

    def mutate(self, node: Node, index: int) -> Node:
        """Take an argument and the comma beside it out."""
        listed, place = list(self.arguments_of(node))[index]
        first = place if place + 1 < len(listed.children) else place - 1
        del listed.children[first : first + 2]
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """For cosmic-ray's own tests."""
        return (Example("x.filter(a, b)", "x.filter( b)"), Example("x.filter(a, b)", "x.filter(a)", occurrence=1))


class ReplaceMethod(Operator):  # type: ignore[misc]  # cosmic-ray has no types
    """first becomes last, min becomes max: the other one is taken."""

    OTHER: ClassVar[Mapping[str, str]] = {
        "first": "last",
        "last": "first",
        "min": "max",
        "max": "min",
        "any": "all",
        "all": "any",
        "head": "tail",
        "min_horizontal": "max_horizontal",
        "max_horizontal": "min_horizontal",
        "cum_min": "cum_max",
        "cum_max": "cum_min",
        "all_horizontal": "any_horizontal",
        "any_horizontal": "all_horizontal",
        "is_null": "is_not_null",
        "is_not_null": "is_null",
        "eq_missing": "ne_missing",
        "ne_missing": "eq_missing",
        "set_union": "set_difference",
        "set_difference": "set_union",
        "sum": "max",
    }

    def mutation_positions(self, node: Node) -> list[Position]:
        """Every such name after a dot."""
        named = node.type == "name" and node.value in self.OTHER and getattr(node.get_previous_leaf(), "value", "") == "."
        return [(node.start_pos, node.end_pos)] if named else []

    def mutate(self, node: Node, index: int) -> Node:
        """Say the other one."""
        node.value = self.OTHER[node.value]
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """For cosmic-ray's own tests."""
        return (Example("x.first()", "x.last()"),)


class ReplaceChoice(Operator):  # type: ignore[misc]  # cosmic-ray has no types
    """how="left" becomes how="inner", keep="last" becomes keep="first"."""

    OTHER: ClassVar[Mapping[str, str]] = {
        '"left"': '"inner"',
        '"full"': '"left"',
        '"anti"': '"semi"',
        '"semi"': '"anti"',
        '"first"': '"last"',
        '"last"': '"first"',
    }

    def mutation_positions(self, node: Node) -> list[Position]:
        """Every such text that is the value of `how` or `keep`."""
        chosen = node.type == "string" and node.parent.type == "argument" and node.parent.children[0].value in ("how", "keep")
        return [(node.start_pos, node.end_pos)] if chosen and node.value in self.OTHER else []

    def mutate(self, node: Node, index: int) -> Node:
        """Say the other one."""
        node.value = self.OTHER[node.value]
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """For cosmic-ray's own tests."""
        return (Example('f(how="left")', 'f(how="inner")'),)


class FrameOperators:
    """These operators as cosmic-ray's plugins are: by name."""

    OPERATORS: ClassVar[Mapping[str, type[Operator]]] = {
        each.__name__: each for each in (LeaveOutCall, LeaveOutArgument, ReplaceMethod, ReplaceChoice)
    }

    def __iter__(self) -> Iterator[str]:
        return iter(self.OPERATORS)

    def __getitem__(self, name: str) -> type[Operator]:
        return self.OPERATORS[name]
