"""Doctor against faults, made up or real: each is found, in its time, with a mend; and what is well is not complained of."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from conftest import tiny, tiny_sweep
from typer.testing import CliRunner

from impray.cli import app
from impray.results.ledger import Ledger
from impray.service import doctor
from impray.service.doctor import cluster, here, nodes, remote, storage, tracking
from impray.service.doctor.finding import read
from impray.service.doctor.needs import needs
from impray.service.ray import nodes as on_nodes

EMPTY = Ledger()


def levels(findings, what):
    return [finding.level for finding in findings if finding.what == what]


def worst(findings):
    return max((doctor.LEVELS.index(finding.level) for finding in findings), default=0)


def mended(findings):
    return all(finding.mend for finding in findings if finding.level != "ok")


# -- checks ------------------------------------------------------------------------------------------------------------


def test_a_check_that_hangs_or_breaks_holds_up_no_other():
    def broken():
        yield doctor.Finding("ok", "half", "one")
        raise RuntimeError("oh")

    slow = doctor.Check("slow", 0.3, lambda: time.sleep(30) or [])
    fine = doctor.Check("fine", 5, lambda: [doctor.Finding("ok", "fine", "yes")])
    start = time.monotonic()
    found = list(doctor.run([slow, doctor.Check("broken", 5, broken), fine]))
    assert time.monotonic() - start < 3
    assert [(finding.what, finding.level) for finding in found] == [
        ("slow", "wrong"),
        ("half", "ok"),
        ("broken", "wrong"),
        ("fine", "ok"),
    ]
    assert mended(found)


def test_a_finding_can_be_sent():
    finding = doctor.Finding("warn", "clock", "late", "wait")
    assert read(json.loads(json.dumps(finding.document()))) == finding
    with pytest.raises(ValueError):
        read({"level": "fine"})


# -- this machine ------------------------------------------------------------------------------------------------------


def test_versions_here_are_those_asked_for(monkeypatch):
    assert "wrong" not in levels(here.versions(), "versions")
    monkeypatch.setattr(here, "_has", lambda name: {"ray": "2.9.0", "torch": "none"}.get(name, "3.0"))
    told = [finding for finding in here.versions() if finding.level == "wrong"]
    assert any("ray 2.9.0" in finding.value for finding in told)
    assert any("torch none" in finding.value for finding in told) and mended(told)


@pytest.mark.parametrize(("mode", "level"), [(0o644, "warn"), (0o600, "ok")])
def test_a_token_is_for_its_owner_only_and_never_shown(tmp_path, monkeypatch, mode, level):
    file = tmp_path / "token"
    file.write_text("5ecret\n")
    file.chmod(mode)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    found = here.token(cluster=True)
    assert levels(found, "token") == [level] and "5ecret" not in repr(found) and mended(found)


def test_a_cluster_wants_a_token_a_local_ray_makes_one(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    assert levels(here.token(cluster=True), "token") == ["warn"]
    assert levels(here.token(cluster=False), "token") == ["ok"]


def test_a_recorded_cluster_that_is_gone_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert here.recorded() == []
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{server.getsockname()[1]}")
        assert levels(here.recorded(), "recorded cluster") == ["ok"]
    assert levels(here.recorded(), "recorded cluster") == ["warn"]


def test_a_folder_too_deep_for_rays_sockets_is_told(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(deep))
    assert "wrong" in levels(here.room(), "local Ray")


# -- what a sweep needs ------------------------------------------------------------------------------------------------


def test_needs_are_what_a_sweep_then_takes(tmp_path):
    file = tmp_path / "tiny.yaml"
    document = tiny(**{"trial.net.hidden": [64], "trial.data.shape": [12, 12], "seeds": 3})
    document["measures"] = ["accuracy", "loss", "fan_in", "kurtosis"]
    file.write_text(yaml.safe_dump(document))
    needed = needs(tiny_sweep(**document), EMPTY)
    words = ["sweep", str(file), "--out", str(tmp_path / "runs"), "--where", "here", "--mlflow", "off", "--no-figures"]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0, answer.output
    folder = tmp_path / "runs" / "tiny"
    took = sum(path.stat().st_size for path in (folder / "checkpoints").rglob("*") if path.is_file())
    assert 0.9 * took < needed.checkpoints < 1.1 * took
    assert needed.lineages == 2 * 3 * 3
    # What is done needs nothing.
    asked = doctor.Asked(str(tmp_path / "runs"), sweep=tiny_sweep(**document), name="tiny")
    left = doctor._needs(asked)
    assert left is not None and left.lineages == 0 and left.checkpoints == 0


def test_more_rounds_seeds_or_units_need_more():
    base = needs(tiny_sweep(), EMPTY)
    for change in ({"rounds": 6}, {"seeds": 4}, {"trial.net.hidden": [50]}):
        more = needs(tiny_sweep(**change), EMPTY)
        assert more.checkpoints > base.checkpoints and more.tables > base.tables and more.actor >= base.actor


@pytest.mark.parametrize(("free", "level"), [(10**12, "ok"), (10_000, "wrong")])
def test_a_disk_too_small_for_the_sweep_is_told(tmp_path, monkeypatch, free, level):
    real = os.statvfs(tmp_path)
    faked = os.statvfs_result((4096, 4096, free // 4096, free // 4096, free // 4096, *tuple(real)[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: faked)
    found = list(doctor._room(doctor.Asked(str(tmp_path), sweep=tiny_sweep(), name="tiny")))
    assert levels(found, "disk") == [level] and mended(found)


# -- the head ----------------------------------------------------------------------------------------------------------


@contextmanager
def listening(*, answers=False):
    """A port where connections are taken and nothing is ever said, or (`answers`) what no Ray says."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            kept = []
            try:
                while True:
                    connection, _ = server.accept()
                    kept.append(connection)
                    if answers:
                        connection.sendall(b"220 mail\r\n")
            except OSError:
                for connection in kept:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("answers", [None, False, True])
def test_an_address_where_no_head_is_is_told_in_time(answers):
    from impray.service.ray import probes

    with listening(answers=bool(answers)) as port:
        if answers is not None:
            start = time.monotonic()
            said = probes.reach(f"127.0.0.1:{port}")
            assert time.monotonic() - start < 3 * probes.REACH_S
    if answers is None:  # nobody listens there any more
        said = probes.reach(f"127.0.0.1:{port}")
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


# -- the nodes ---------------------------------------------------------------------------------------------------------


def facts(**changes):
    """A node that is as this machine is, but for `changes`."""
    room = {"total": 10**12, "free": 10**12, "at": "/"}
    said = {"versions": on_nodes.versions(), "memory": {"total": 10**12, "free": 10**12}, "cpus": 8, "files": 10**5}
    said |= {"shm": room, "tmp": room, "cache": room, "data": True, "gpu": {}, "ahead_s": 0.001}
    return {**said, **changes}


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


# -- storage -----------------------------------------------------------------------------------------------------------


def tried(places):
    """All steps on machines that are threads here; each finds the folder where `places` says."""
    node = on_nodes.Node()

    def ask(step, arguments):
        said = {}

        def work(name, of):
            said[name] = node.store(step, places[name], *of[1:])

        threads = [threading.Thread(target=work, args=item) for item in arguments.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {name: said[name] for name in arguments}

    told = storage.tried(places[storage.HERE], list(places), ask)
    return storage.judged(told, str(places[storage.HERE]))


def test_a_folder_that_all_share_is_well_and_left_as_it_was(tmp_path):
    place = str(tmp_path / "deep" / "runs" / "scratch")
    found = tried({storage.HERE: place, "a": place, "b": place})
    assert worst(found) == 0 and {"storage write", "storage seen", "storage create", "storage replace"} <= {
        f.what for f in found
    }
    assert list(tmp_path.iterdir()) == []


def test_the_same_path_on_other_disks_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "SEEN_S", 0.2)
    place = str(tmp_path / "one" / "scratch")
    found = tried({storage.HERE: place, "a": place, "b": str(tmp_path / "two" / "scratch")})
    assert levels(found, "storage seen") == ["wrong"] and mended(found)
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_cannot_write_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    place = str(tmp_path / "runs")
    found = tried({storage.HERE: place, "a": str(tmp_path / "file" / "runs")})
    assert "wrong" in levels(found, "storage write") and mended(found)
    assert any("node a" in finding.value for finding in found if finding.level == "wrong")


def test_a_store_that_two_can_win_at_or_that_tears_files_is_told():
    written = {"seconds": 0.01, "existed": None}
    told = storage.Told({"here": written, "a": written}, {"here": {"missing": []}, "a": {"missing": []}})
    told.creates, told.replaces = {"here": {"won": True}, "a": {"won": True}}, {"here": {"torn": 0}, "a": {"torn": 3}}
    told.locks = {"here": {"held": True}, "a": {"held": True}}
    found = storage.judged(told, "/runs")
    assert levels(found, "storage create") == ["wrong"] and levels(found, "storage replace") == ["wrong"]
    assert levels(found, "storage locks") == ["ok"]  # leases serve


@pytest.mark.parametrize(("ahead", "levels_told"), [(0.6, []), (-5.0, ["warn"]), (400.0, ["wrong"])])
def test_a_clock_that_is_off_from_the_stores(ahead, levels_told):
    told = storage.Told({"here": {"seconds": 0.01, "existed": None, "ahead_s": ahead}}, {"here": {"missing": []}})
    assert levels(storage.judged(told, "s3://b/runs"), "clock") == levels_told


def test_a_bucket_is_well_and_left_as_it_was(bucket):
    found = tried({storage.HERE: f"{bucket.uri}/scratch", "a": f"{bucket.uri}/scratch"})
    assert worst(found) == 0, found
    assert not bucket.exists()
    start = time.monotonic()
    missing = tried({storage.HERE: "s3://no-such-bucket/scratch"})
    assert levels(missing, "storage write") == ["wrong"] and "no bucket" in missing[0].value
    assert time.monotonic() - start < storage.REACH_S


def test_a_bucket_that_does_not_answer_is_told_in_time(monkeypatch):
    with listening() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        start = time.monotonic()
        found = tried({storage.HERE: "s3://b/scratch"})
        assert time.monotonic() - start < 2 * storage.REACH_S
    assert levels(found, "storage write") == ["wrong"] and mended(found)


# -- MLflow ------------------------------------------------------------------------------------------------------------


@contextmanager
def serving(answers):
    """A server that answers paths with (code, text)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            code, text = answers.get(self.path, answers.get("*", (404, "")))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://u:5ecret@127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


SEARCH = "/api/2.0/mlflow/experiments/search"


@pytest.mark.parametrize(
    ("answers", "level", "mend"),
    [
        ({"/health": (200, "OK"), "/version": (200, "3.17.2"), SEARCH: (200, "{}")}, "ok", ""),
        ({"/health": (200, "OK"), "/version": (200, "2.1.0"), SEARCH: (200, "{}")}, "warn", "version"),
        ({"*": (403, "Invalid Host header")}, "wrong", "--allowed-hosts"),
        ({"/health": (200, "OK"), "/version": (200, "3.17.2"), SEARCH: (401, "")}, "wrong", "MLFLOW_TRACKING_USERNAME"),
        ({"*": (404, "")}, "wrong", "port"),
        ({"*": (200, "a page")}, "wrong", "port"),
    ],
)
def test_an_mlflow_server(answers, level, mend):
    with serving(answers) as uri:
        (found,) = tracking.tracking(uri, "runs")
    assert found.level == level and mend in found.mend and "5ecret" not in repr(found)


def test_no_mlflow_server_and_sqlite(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with listening() as port:
        monkeypatch.setattr(tracking, "ANSWER_S", 0.5)
        assert tracking.tracking(f"http://127.0.0.1:{port}", "runs")[0].level == "wrong"
    assert tracking.tracking(f"http://127.0.0.1:{port}", "runs")[0].level == "wrong"
    assert tracking.tracking(None, str(tmp_path / "runs"))[0].level == "ok"
    assert tracking.tracking(f"sqlite:////{tmp_path}/x.db", "runs")[0].level == "ok"
    assert list(tmp_path.iterdir()) == []


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
    words = ["doctor", "--mlflow", f"http://me:secret@127.0.0.1:{port}", "--address", f"http://127.0.0.1:{port}"]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 1 and "--mlflow" in answer.output and "secret" not in answer.output
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


@pytest.mark.ray
def test_results_that_cannot_be_written_are_wrong(two_nodes, tmp_path):
    (tmp_path / "file").write_text("in the way")
    found = list(cluster.cluster(two_nodes, tmp_path / "file" / "runs", None))
    assert "wrong" in levels(found, "storage write") and mended(found)
    assert levels(found, "Ray") == ["ok"] and levels(found, "nodes") == ["ok"]
