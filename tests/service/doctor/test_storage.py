"""What doctor says of storage and of MLflow."""

import http.server
import threading
import time
from contextlib import contextmanager

import pytest
from service.doctor.findings import levels, listening, mended, worst

from impray.service.doctor import storage, tracking
from impray.service.ray import nodes as on_nodes

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
    told = storage.Answer({"here": written, "a": written}, {"here": {"missing": []}, "a": {"missing": []}})
    told.creates, told.replaces = {"here": {"won": True}, "a": {"won": True}}, {"here": {"torn": 0}, "a": {"torn": 3}}
    told.locks = {"here": {"held": True}, "a": {"held": True}}
    found = storage.judged(told, "/runs")
    assert levels(found, "storage create") == ["wrong"] and levels(found, "storage replace") == ["wrong"]
    assert levels(found, "storage locks") == ["ok"]  # leases serve


@pytest.mark.parametrize(("ahead", "levels_told"), [(0.6, []), (-5.0, ["warn"]), (400.0, ["wrong"])])
def test_a_clock_that_is_off_from_the_stores(ahead, levels_told):
    told = storage.Answer({"here": {"seconds": 0.01, "existed": None, "ahead_s": ahead}}, {"here": {"missing": []}})
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
