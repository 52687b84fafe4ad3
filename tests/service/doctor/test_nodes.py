"""What doctor says of the head and of every node."""

import time

import pytest
from conftest import tiny_sweep
from service.doctor.findings import EMPTY, facts, levels, listening, mended, worst

from impray.service.doctor import cluster, nodes
from impray.service.doctor.needs import needs
from impray.service.ray import nodes as on_nodes


@pytest.mark.parametrize("answers", [None, False, True])
def test_an_address_where_no_head_is_is_told_in_time(answers):
    from impray.service.ray import head

    with listening(answers=bool(answers)) as port:
        if answers is not None:
            start = time.monotonic()
            said = head.reach(f"127.0.0.1:{port}")
            assert time.monotonic() - start < head.REACH_S + 1
    if answers is None:  # nobody listens there any more
        said = head.reach(f"127.0.0.1:{port}")
    assert not said["alive"]
    found = cluster.reached("127.0.0.1:1", said)
    assert levels(found, "address") == ["wrong"] and mended(found)


def test_storage_is_looked_at_from_here_where_there_is_no_cluster(tmp_path):
    with listening() as port:
        pass
    found = list(cluster.cluster(f"127.0.0.1:{port}", tmp_path / "runs", None))
    assert levels(found, "address") == ["wrong"] and levels(found, "storage write") == ["ok"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "mode", "level"),
    [
        ({"open": False, "token": "refused"}, "token", "wrong"),
        ({"open": False, "token": "none"}, "token", "wrong"),
        ({"open": False, "token": "taken"}, "", "wrong"),
        ({"open": False, "token": "taken"}, "token", "ok"),
        ({"open": True, "token": "taken"}, "token", "warn"),
    ],
)
def test_what_a_head_makes_of_the_token(monkeypatch, said, mode, level):
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    found = cluster.reached("auto", {"address": "h:6379", "alive": True, "ray": "2.60.0", **said})
    assert levels(found, "token") == [level] and mended(found)


def judged(needed=None, gpu=0.0, **changes):
    resources = {name: {"cpu": 4.0, "gpu": gpu, "memory": 0.0, "head": float(name == "a")} for name in "ab"}
    return list(nodes.judged(resources, {"a": facts(), "b": facts(**changes)}, needed))


def test_nodes_that_are_as_they_should_be():
    found = judged(needs(tiny_sweep(), EMPTY))
    assert worst(found) == 0, found


@pytest.mark.parametrize(
    ("name", "version", "level"),
    [
        ("ray", "2.59.0", "wrong"),
        ("python", "3.10.2", "wrong"),
        ("impray", "0.1.0", "wrong"),
        ("impray", "", "wrong"),
        ("torch", "2.12.0", "warn"),
        ("files", "abc", "warn"),
        ("mlflow", "", "warn"),
    ],
)
def test_a_node_with_other_versions(name, version, level):
    found = judged(versions={**on_nodes.versions(), name: version})
    assert levels(found, "versions") == [level] and mended(found)
    assert all("node b" in finding.value for finding in found if finding.what == "versions")


@pytest.mark.parametrize(("ahead", "level"), [(0.5, "ok"), (-2.0, "warn"), (45.0, "wrong"), (-45.0, "wrong")])
def test_a_clock_that_is_off(ahead, level):
    found = judged(ahead_s=ahead)
    assert levels(found, "clock") == [level] and mended(found)


def gpu(**changes):
    return {"count": 1, "cuda": "12.8", "memory": [80 << 30], "error": "", "driver": "570.1", **changes}


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "ok"),
        ({"count": 0, "error": "The NVIDIA driver on your system is too old"}, "wrong"),
        ({"count": 0, "cuda": ""}, "wrong"),
        ({"count": 2}, "wrong"),
        ({"error": "no kernel image is available"}, "wrong"),
    ],
)
def test_gpus_that_ray_and_torch_see_differently(changes, level):
    resources = {"a": {"cpu": 4.0, "gpu": 1.0, "memory": 0.0, "head": 1.0}}
    found = list(nodes.judged(resources, {"a": facts(gpu=gpu(**changes))}, None))
    assert levels(found, "GPUs") == [level] and mended(found)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"memory": {"total": 10**9, "free": 10**9}}, "memory"),
        ({"data": False}, "data"),
        ({"files": 256}, "open files"),
        ({"cpus": 1}, "CPUs"),
        ({"tmp": {"total": 10**12, "free": 10**9, "at": "/tmp"}}, "temporary files"),
        ({"shm": {"total": 64 << 20, "free": 64 << 20, "at": "/dev/shm"}}, "shared memory"),
    ],
)
def test_a_node_too_small_for_the_sweep(changes, what):
    found = judged(needs(tiny_sweep(**{"seeds": 4}), EMPTY, slots=8), **changes)
    assert worst([finding for finding in found if finding.what == what]) > 0 and mended(found)


def test_a_pack_that_fits_no_node():
    assert levels(judged(needs(tiny_sweep(**{"resources.cpu": 64}), EMPTY)), "slots") == ["warn"]


def test_a_node_that_says_nothing():
    resources = {"a": {"cpu": 4.0, "gpu": 0.0, "memory": 0.0, "head": 1.0}}
    found = list(nodes.judged(resources, {"a": {"error": "no answer within 12 s"}}, needs(tiny_sweep(), EMPTY)))
    assert levels(found, "nodes") == ["wrong"]
