"""Imports go one way: spec < theory < data, nets < training, masks, measures < lineage < results < figures, journey < service < bench,
api < cli."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "impray"
LEVEL = {
    "seal": -1,
    "cache": -1,
    "shipped": -1,
    "processes": -1,
    "scratch": -1,
    "spec": 0,
    "plugin": 0,
    "kernels": 0,
    "theory": 1,
    "data": 2,
    "nets": 2,
    "training": 3,
    "masks": 3,
    "measures": 3,
    "lineage": 4,
    "results": 5,
    "figures": 6,
    "journey": 7,
    "service": 8,
    "bench": 9,
    "api": 9,
    "cli": 10,
    "__main__": 10,
}
ONLY_IN = {
    "numba": {"kernels"},
    "torch": {"data", "nets", "training", "masks", "measures", "lineage", "results", "journey", "service", "bench"},
    "ray": {"service"},
    "optuna": {"service"},
    "polars": {"results", "figures", "service", "bench", "api"},
    "mlflow": {"results"},
    "typer": {"cli", "service", "bench"},
}
SPEC_FREE_OF = {"torch", "ray", "polars", "mlflow", "numpy", "scipy"}


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """(module, whether only for type checking) of every import in a file."""
    tree = ast.parse(path.read_text())
    typed = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in typed) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the arrow"
            module = node.module or ""
            # `from impray.results import mlflow` names the module impray.results.mlflow, not the package mlflow.
            found.append((module, id(node) in typed))
    return found


def part_of(module: str) -> str | None:
    words = module.split(".")
    return words[1] if words[0] == "impray" and len(words) > 1 else None


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_arrow_points_up(path):
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if here == "__init__":
        return
    for module, only_types in imports_of(path):
        there = part_of(module)
        if there is not None and not only_types:
            assert there in LEVEL, f"{module}: not a part of the layout"
            assert LEVEL[there] <= LEVEL[here], f"{here} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_library_has_its_home(path):
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module, only_types in imports_of(path):
        library = module.split(".")[0]
        if library in ONLY_IN and not only_types:
            assert here in ONLY_IN[library], f"{here} imports {library}"
        if here == "spec":
            assert library not in SPEC_FREE_OF


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def at_import(nodes: list[ast.stmt]):
    """Statements that run when a module is imported, those for type checking left out."""
    for node in nodes:
        if isinstance(node, ast.If):
            yield from at_import(node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else node.body + node.orelse)
        elif isinstance(node, ast.Try):
            yield from at_import(node.body + node.orelse + node.finalbody)
            for handler in node.handlers:
                yield from at_import(handler.body)
        elif isinstance(node, ast.With):
            yield from at_import(node.body)
        else:
            yield node


def imported_by(path: Path, modules: set[str]) -> set[str]:
    """Modules of ours that importing this one imports itself: those it names, and packages above them that it is not in."""
    names = []
    for node in at_import(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [name if name in modules else node.module for name in inner]
    above = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
    return (set(names) | {package for package in above if not name_of(path).startswith(f"{package}.")}) & modules


def test_no_cycles_between_modules():
    modules = {name_of(path) for path in FILES}
    graph = {name_of(path): imported_by(path, modules) - {name_of(path)} for path in FILES}
    assert "impray.nets.base" in graph["impray.nets.mlp"] and "impray.results" in graph["impray.service.driver"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


BOOKKEEPING = ("plan", "proposals", "trials", "folder", "driver", "pool", "listener", "here", "progress", "estimate")


def test_only_one_package_knows_ray_and_the_driver_no_pool():
    """Driver and pool meet in the protocols of `service/pool.py`; the command line puts them together."""
    for path in FILES:
        names = {module for module, _ in imports_of(path)}
        home = path.relative_to(PACKAGE).parts[:2] == ("service", "ray")
        assert home or not any(name.split(".")[0] == "ray" for name in names), path
        if path.parent == PACKAGE / "service" and path.stem in BOOKKEEPING:
            pools = {name for name in names if name.startswith(("impray.service.ray", "impray.service.here"))}
            assert not pools, path
            assert "1e30" not in path.read_text() and "TUNE_" not in path.read_text(), path
        if path == PACKAGE / "service" / "driver.py":
            assert not any(name.startswith(("impray.results.mlflow", "subprocess", "rich.live")) for name in names)


@pytest.mark.parametrize("path", sorted((ROOT / "analysis").rglob("*.py")), ids=lambda p: p.name)
def test_analysis_reads_tables_only(path):
    for module, _ in imports_of(path):
        assert part_of(module) in (None, "figures", "results", "theory", "spec")
        assert module.split(".")[0] not in ("torch", "ray")


def test_no_pickle_and_no_unguarded_torch_load():
    """One file may read pickles, of other people's data sets: it lets them name nothing and call nothing."""
    for path in FILES:
        text = path.read_text()
        text = text.replace("safetensors.torch.", "")
        assert "import pickle" not in text or path == PACKAGE / "data" / "formats" / "unpickle.py", path
        assert "from pickle" not in text and "pickle.load" not in text and "torch.save(" not in text, path
        assert "allow_pickle=True" not in text, path
        assert "torch.load(" not in text or "weights_only=True" in text, path
        assert "0.0.0.0" not in text, path


def test_importing_the_command_line_loads_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys, impray.cli; print([m for m in ('torch', 'ray', 'mlflow', 'polars', 'numpy') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
