"""`impray doctor` as a user meets it, alone and of a cluster."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from conftest import tiny
from service.doctor.findings import levels, listening, mended
from typer.testing import CliRunner

from impray.cli import app
from impray.service import doctor
from impray.service.doctor import cluster, remote
from impray.service.doctor.finding import read

# -- the command -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_meant_is_told_at_once_and_nothing_is_looked_at(tmp_path):
    words = ["doctor", "--address", "ray://h:10001", "--out", "ftp://b/x", "--mlflow", "somewhere"]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 2
    assert all(word in answer.output for word in ("--address", "--out", "--mlflow", "3 problems"))
    assert CliRunner().invoke(app, ["doctor", str(tmp_path / "none.yaml")]).exit_code == 2
    outside = CliRunner().invoke(app, ["doctor", "--address", "http://127.0.0.1:8265", "--out", "runs"])
    assert outside.exit_code == 2 and "absolute" in outside.output


def test_no_login_is_printed():
    with listening() as port:
        pass
    store, words = f"http://me:secret@127.0.0.1:{port}", ["doctor", "--address", f"http://127.0.0.1:{port}"]
    answer = CliRunner().invoke(app, words, env={"MLFLOW_TRACKING_URI": store})
    assert answer.exit_code == 1 and "secret" not in answer.output
    answer = CliRunner().invoke(app, [*words, "--mlflow", store])
    assert answer.exit_code == 2 and "MLFLOW_TRACKING_USERNAME" in answer.output and "secret" not in answer.output
    answer = CliRunner().invoke(app, ["doctor", "--address", f"http://me:secret@127.0.0.1:{port}"])
    assert answer.exit_code == 2 and "holds a login" in answer.output and "secret" not in answer.output


def test_an_unreachable_job_server_is_wrong_and_says_how_to_open_a_tunnel():
    with listening() as port:
        pass
    answer = CliRunner().invoke(app, ["doctor", "--address", f"http://127.0.0.1:{port}"])
    assert answer.exit_code == 1
    told = " ".join(answer.output.split())
    assert "ray attach" in told and "next: mend" in told


@contextmanager
def two_nodes_of(*words):
    """What a Ray of two nodes says of itself: its address, and that of its job server with the word `dashboard`."""
    program = Path(__file__).with_name("two_nodes.py")
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with subprocess.Popen(
        [sys.executable, str(program), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=env,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()
        process.communicate()


@pytest.fixture(scope="module")
def two_nodes():
    """The address of a Ray with two nodes and a token."""
    with two_nodes_of() as said:
        yield said[0]


@pytest.mark.slow
@pytest.mark.ray
def test_a_cluster_that_is_well(two_nodes, tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(tiny()))
    command = [
        sys.executable,
        "-m",
        "impray.cli",
        "doctor",
        str(file),
        "--address",
        two_nodes,
        "--out",
        str(tmp_path / "runs"),
    ]
    env = {**os.environ, "RAY_AUTH_MODE": "token"}
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    lines = answer.stdout.splitlines()
    assert not [line for line in lines if line.startswith("wrong")]
    for what in ("nodes: 2 nodes", "storage seen", "storage create", "clock", "GPUs", "memory", "versions", "token"):
        assert any(what in line for line in lines), what
    assert lines[-1].startswith("next: impray sweep")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize(
    ("name", "value", "taken"), [("RAY_AUTH_TOKEN", "0" * 64, "refused"), ("RAY_AUTH_TOKEN_PATH", "/nothing", "none")]
)
def test_a_cluster_that_refuses_the_token_says_so_long_before_ray_would(two_nodes, monkeypatch, name, value, taken):
    from impray.service.ray import probes

    assert probes.reach(two_nodes)["token"] == "taken"
    monkeypatch.setenv(name, value)
    told, start = [], time.monotonic()
    probes.probe({"address": two_nodes}, lambda stage, said: told.append((stage, said)))
    assert time.monotonic() - start < 5  # and it has not tried to join
    ((stage, said),) = told
    assert stage == "reach" and said["alive"] and not said["open"] and said["token"] == taken


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="a disk of its own for a node needs root")
def test_a_node_with_a_disk_of_its_own_at_the_same_path_and_a_gpu_that_is_none(two_nodes, tmp_path):
    """The node is on this machine; over the results' folder it has mounted another disk, which nobody else sees."""
    ray = Path(sys.executable).with_name("ray")
    out = tmp_path / "runs"
    out.mkdir()
    join = f"mount -t tmpfs none {out} && exec {ray} start --address {two_nodes} --num-cpus 1 --num-gpus 7 --block"
    env = {**os.environ, "RAY_AUTH_MODE": "token"}
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", join], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as third:
        try:
            until = time.monotonic() + 60
            found = []
            while time.monotonic() < until and not any("3 nodes" in finding.value for finding in found):
                found = list(cluster.cluster(two_nodes, out, None))
        finally:
            third.terminate()
    assert levels(found, "storage seen") == ["wrong"] and mended(found)
    assert levels(found, "GPUs") == ["wrong"]
    assert not list(out.iterdir())


@pytest.fixture(scope="module")
def job_server():
    """The address of the job server of a Ray of two nodes."""
    with two_nodes_of("dashboard") as said:
        yield f"http://{said[1]}"


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_asked_from_outside(job_server, tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(tiny()))
    env = {**os.environ, "RAY_AUTH_MODE": "token", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "impray.cli", "doctor", str(file), "--address", job_server, "--json"]
    answer = subprocess.run(
        [*command, "--out", str(tmp_path / "runs")], capture_output=True, text=True, timeout=200, env=env
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = [read(of) for of in json.loads(answer.stdout)["findings"]]
    for what in ("nodes", "memory", "disk", "storage seen"):
        assert levels(found, f"head: {what}") == ["ok"], what
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml"]


def test_a_cluster_that_is_asked_from_outside_without_out_is_not_told_well():
    there = [doctor.Finding("ok", what, "x").document() for what in ("nodes", "disk", "storage write", "MLflow")]
    found = list(remote._on_head(there, out=False, mlflow=False))
    assert levels(found, "head: nodes") == ["ok"] and levels(found, "head: storage") == ["warn"]
    assert len(found) == 2
    assert len(list(remote._on_head(there, out=True, mlflow=False))) == 4


@pytest.mark.slow
@pytest.mark.ray
def test_results_that_cannot_be_written_are_wrong(two_nodes, tmp_path):
    (tmp_path / "file").write_text("in the way")
    found = list(cluster.cluster(two_nodes, tmp_path / "file" / "runs", None))
    assert "wrong" in levels(found, "storage write") and mended(found)
    assert levels(found, "Ray") == ["ok"] and levels(found, "nodes") == ["ok"]
