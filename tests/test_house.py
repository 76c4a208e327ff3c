"""The order of the house (STYLE 8, DESIGN 6): imports go one way, Beam stays in pipelines, only jobs print, every module says what it is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "schemas": set(),
    "storage": {"schemas"},
    "transforms": {"schemas"},
    "synthetic": {"schemas"},
    "receiver": {"schemas", "storage"},
    "pages": {"schemas"},
    "pipelines": {"schemas", "storage", "transforms", "pages"},
    "jobs": {"schemas", "storage", "transforms", "synthetic", "receiver", "pages", "pipelines"},
}
MODULES = sorted(str(path.relative_to(ROOT)) for layer in MAY_IMPORT for path in (ROOT / layer).rglob("*.py"))


def tree_of(module: str) -> ast.Module:
    """A module's source as a tree."""
    return ast.parse((ROOT / module).read_text("utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """The full names of what a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield str(node.module)


def test_every_layer_has_modules() -> None:
    assert {module.split("/")[0] for module in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    layer = module.partition("/")[0]
    ours = {name.split(".")[0] for name in imported(tree_of(module))} & set(MAY_IMPORT)
    assert ours <= MAY_IMPORT[layer] | {layer}


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("transforms/") and "__init__" not in module])
def test_every_rule_is_called_by_somebody(module: str) -> None:
    """One was written and tested, and no pipeline called it."""
    name = module.removesuffix(".py").replace("/", ".")
    callers = [other for other in MODULES if other != module and name in imported(tree_of(other))]
    assert callers, f"nobody imports {name}"


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith("pipelines/")])
def test_beam_is_imported_in_pipelines_alone(module: str) -> None:
    assert "apache_beam" not in {name.split(".")[0] for name in imported(tree_of(module))}


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith("jobs/")])
def test_only_jobs_print(module: str) -> None:
    calls = [node.func for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
    assert "rich" not in {name.split(".")[0] for name in imported(tree_of(module))}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_and_all_that_is_public_in_it_has_a_docstring(module: str) -> None:
    tree = tree_of(module)
    assert ast.get_docstring(tree), "the module"
    public = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"))
    assert [node.name for node in public if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("module", [module for module in MODULES if module != "jobs/lefi.py"])
def test_no_rule_is_wrapped_in_a_catch_of_everything(module: str) -> None:
    handlers = [node.type for node in ast.walk(tree_of(module)) if isinstance(node, ast.ExceptHandler)]
    assert None not in handlers
    assert not [kind for kind in handlers if isinstance(kind, ast.Name) and kind.id == "Exception"]
