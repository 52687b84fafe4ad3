"""How `make test` deals tests out to its workers: what tests/conftest.py names is there, and a Ray is started by one worker."""

import ast
from pathlib import Path

from conftest import CHECKED, LONGEST, TOGETHER, group_of, spread

TESTS = Path(__file__).parent


def test_files_and_folders_that_are_named_are_there():
    for place in (*LONGEST, *CHECKED, *(file for files in TOGETHER for file in files)):
        assert (TESTS / place).exists(), place


def marks(function: ast.FunctionDef) -> set[str]:
    """Names of the marks of a test: `ray` of `@pytest.mark.ray`, and of those with arguments."""
    words = [one.func if isinstance(one, ast.Call) else one for one in function.decorator_list]
    return {word.attr for word in words if isinstance(word, ast.Attribute) and "pytest.mark." in ast.unparse(word)}


def test_who_starts_a_ray_shares_a_group_with_others():
    """Else a Ray of its own is started beside those of two groups."""
    named = {file for files in TOGETHER for file in files}
    for path in TESTS.rglob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and "ray" in marks(node) and "slow" not in marks(node):
                assert str(path.relative_to(TESTS)) in named, (path, node.name)


def test_a_file_is_one_group_and_files_of_one_ray_are_one():
    for files in TOGETHER:
        assert len({group_of(f"tests/{file}::test_x[{n}]") for file in files for n in range(2)}) == 1
    apart = ["tests/test_docs.py", "tests/service/test_plan.py", *(f"tests/{files[0]}" for files in TOGETHER)]
    assert len({group_of(f"{file}::test_x") for file in apart}) == len(apart)


def test_some_cases_of_a_test_bring_every_value_that_so_many_can():
    ids = [f"tests/test_a.py::test_b[{x}-{y}-{z}]" for x in "abcd" for y in "12" for z in "+*%"]
    for count in (1, 2, 3, 4, 9, 24, 30):
        few = spread(ids, count)
        assert len(set(few)) == len(few) == min(count, 24) and set(few) <= set(ids)
        assert few == spread(ids[::-1], count)  # whoever collects them
        values = list(zip(*(id.partition("[")[2][:-1].split("-") for id in few), strict=True))
        assert [len(set(of_axis)) for of_axis in values] == [min(count, levels) for levels in (4, 2, 3)]
