"""What doctor says of this machine, and of what a sweep needs."""

import json
import os
import socket
import time

import pytest
import yaml
from conftest import tiny, tiny_sweep
from service.doctor.findings import EMPTY, levels, mended
from typer.testing import CliRunner

from impray.cli import app
from impray.service import doctor
from impray.service.doctor import here
from impray.service.doctor.finding import read
from impray.service.doctor.needs import needs

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


@pytest.mark.slow
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
    asked = doctor.DoctorRequest(str(tmp_path / "runs"), sweep=tiny_sweep(**document), name="tiny")
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
    found = list(doctor._room(doctor.DoctorRequest(str(tmp_path), sweep=tiny_sweep(), name="tiny")))
    assert levels(found, "disk") == [level] and mended(found)
