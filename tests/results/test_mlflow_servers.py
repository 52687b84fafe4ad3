"""Which store is meant, and what is said of one that cannot be had: a line within 20 s, and never a secret."""

import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fake_sweep import Fake, client, histories, runs
from typer.testing import CliRunner

from impray.cli.app import app as cli
from impray.cli.app import next_view
from impray.results import mlflow
from impray.results.mlflow import charts
from impray.results.mlflow import store as making
from impray.results.mlflow.chosen import VARIABLE, masked, shown
from impray.results.mlflow.identity import identity
from impray.spec.errors import DataError

PNG = b"\x89PNG\r\n\x1a\n"
LOGIN = "someone:Pa55/w?rd"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def served(folder):
    """A real MLflow server; its address."""
    port = free_port()
    stores = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "art")]
    command = [sys.executable, "-m", "mlflow", "server", *stores, "--port", str(port), "--workers", "1"]
    command += ["--allowed-hosts", f"127.0.0.1:{port}"]
    environment = mlflow.ui_environment(Fake(folder / "any").folder)
    del environment["MLFLOW_BACKEND_STORE_URI"]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def answering(code, body, *headers):
    """What answers every request alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code)
            for name, value in (*headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


# -- a server ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_server_gets_everything_once_by_the_name_it_knows_and_names_its_page(fake, tmp_path):
    (tmp_path / "served").mkdir()
    fake.paths.figure("width.png").write(PNG)
    with served(tmp_path / "served") as uri:
        with pytest.raises(
            DataError, match="--allowed-hosts"
        ) as caught:  # a name that the server does not know as its own
            mlflow.sync(fake.folder, uri.replace("127.0.0.1", "localhost"))
        assert len(str(caught.value).splitlines()) == 1
        assert mlflow.sync(fake.folder, uri).metrics > 0
        points, ids = histories(fake, uri), {run.info.run_id for run in runs(fake, uri).values()}
        assert mlflow.sync(fake.folder, uri).metrics == 0
        assert histories(fake, uri) == points and {run.info.run_id for run in runs(fake, uri).values()} == ids
        parent = runs(fake, uri)[None].info.run_id
        assert [file.path for file in client(fake, uri).list_artifacts(parent, "figures")] == ["figures/width.png"]
        page = mlflow.ui_page(fake.folder, uri + "/")
        assert page.startswith(f"{uri}/#/experiments/") and charts.key(identity(fake.paths)) in page
        for command in ("sync", "ui"):
            said = CliRunner().invoke(cli, ["mlflow", command, str(fake.folder), "--mlflow", uri])
            assert said.exit_code == 0 and said.output.splitlines()[-1].removeprefix("next: open ") == page
    assert mlflow.sync(fake.folder).metrics > 0, "the folder's own store is another"


@pytest.mark.parametrize(
    ("code", "body", "headers", "right"),
    [
        (401, b"You are not authenticated.", [("WWW-Authenticate", "Basic")], "MLFLOW_TRACKING_USERNAME"),
        (403, b"Invalid Host header - possible DNS rebinding attack detected", [], "ssh tunnel"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', [], "does not let this login in"),
        (404, b"<html>\nnothing here</html>", [], "no MLflow server"),
        (200, b"<html>\nsign in</html>", [], "no MLflow server"),
        (500, b"a\nb", [], "its own log"),
        (302, b"", [("Location", "http://127.0.0.1:1/x")], "nothing answers"),
    ],
)
def test_what_a_server_says_is_one_line_with_what_to_do(fake, code, body, headers, right):
    with answering(code, body, *headers) as port:
        for call in (mlflow.prepare, mlflow.sync):
            with pytest.raises(DataError, match=right) as caught:
                call(fake.folder, f"http://someone:Pa55word@127.0.0.1:{port}")
            assert len(str(caught.value).splitlines()) == 1
            assert "Pa55word" not in str(caught.value) and "someone" not in str(caught.value)


def test_a_server_that_never_answers_is_told_within_20_s(fake, monkeypatch):
    longest = int(making._QUIET["MLFLOW_HTTP_REQUEST_TIMEOUT"])
    for name, value in {**making._QUIET, "MLFLOW_HTTP_REQUEST_TIMEOUT": "1"}.items():
        monkeypatch.setenv(name, value)
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(10)
        start = time.monotonic()
        with pytest.raises(DataError, match="in time"):
            mlflow.sync(fake.folder, f"http://127.0.0.1:{silent.getsockname()[1]}")
        took = time.monotonic() - start
        assert 1 <= took and took + 2 * (longest - 1) < 20  # it is asked twice


# -- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        f"http://{LOGIN}@mlflow.example:5000",
        f"postgresql://{LOGIN}@db.example/mlflow",
        "postgresql://db.example/mlflow?user=someone&password=Pa55/w?rd",
        f"mysql+pymysql://{LOGIN}@db.example/mlflow?ssl_key=Pa55/w?rd",
        f"sqlite://{LOGIN}@db.example/x",
        f"{LOGIN}@mlflow.example",
    ],
    ids=range(6),
)
def test_no_login_is_shown(fake, uri):
    said = f"could not connect to {uri}: password 'Pa55/w?rd' of {LOGIN} is wrong"
    for text in (shown(uri), masked(said, uri), str(mlflow.problems(uri)), next_view(fake.folder, uri)):
        assert "Pa55" not in text and "someone" not in text
    assert shown(shown(uri)) == shown(uri)


def test_a_databases_login_is_not_in_the_uis_command(fake):
    uri = f"postgresql://{LOGIN}@db.example/mlflow"
    assert "Pa55" not in " ".join(mlflow.ui_command(fake.folder, uri))
    assert mlflow.ui_environment(fake.folder, uri)["MLFLOW_BACKEND_STORE_URI"] == uri


def test_what_holds_no_login_is_shown_as_it_is():
    for uri in ("http://127.0.0.1:5000", "sqlite:////tmp/a@b?c.db", "postgresql://db.example/mlflow", "mlruns"):
        assert shown(uri) == uri and masked(f"x {uri} y", uri) == f"x {uri} y"


def test_no_command_says_a_login(fake, monkeypatch):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"http://someone:Pa55word@127.0.0.1:{taken.getsockname()[1]}"
        fake.paths.store.file("x.yaml").write(fake.paths.sweep.read())
        monkeypatch.chdir(fake.folder)
        sweep = ["sweep", "x.yaml", "--where", "here", "--no-figures"]
        for command in (["mlflow", "sync", "."], ["mlflow", "ui", "."], [*sweep, "--plan"], sweep):
            for words, environment in (([*command, "--mlflow", uri], {}), (command, {VARIABLE: uri})):
                said = CliRunner().invoke(cli, words, env=environment)
                assert said.exit_code == (0 if "--plan" in words and environment else 2), said.output
                assert "Pa55word" not in said.output and "someone" not in said.output


# -- which store ------------------------------------------------------------------------------------------------------


def test_what_is_typed_comes_before_the_environment_and_that_before_the_folder(fake, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert mlflow.chosen(fake.folder, None) == mlflow.chosen(fake.folder, None).__class__(None)
    monkeypatch.setenv(VARIABLE, "")
    assert mlflow.chosen(fake.folder, None).uri is None
    monkeypatch.setenv(VARIABLE, f"http://{LOGIN}@mlflow.example:5000")
    found = mlflow.chosen(fake.folder, None)
    assert found.uri == f"http://{LOGIN}@mlflow.example:5000"
    assert found.said is not None and VARIABLE in found.said and "mlflow.example" in found.said
    assert "Pa55" not in found.said
    given = mlflow.chosen(fake.folder, "sqlite:///mlflow.db")
    assert (given.uri, given.said) == ("sqlite:///mlflow.db", None)


@pytest.mark.usefixtures("quick")
def test_commands_follow_the_environment_and_say_so(fake, tmp_path):
    uri = f"sqlite:///{tmp_path}/shared.db"
    said = CliRunner().invoke(cli, ["mlflow", "sync", str(fake.folder)], env={VARIABLE: uri})
    assert said.exit_code == 0 and said.output.startswith(f"MLflow: {uri} ({VARIABLE}")
    assert said.output.splitlines()[-1] == f"next: impray mlflow ui {fake.folder} --mlflow {uri}"
    assert len(runs(fake, uri)) == 3
    said = CliRunner().invoke(cli, ["mlflow", "sync", str(fake.folder)], env={VARIABLE: "mlruns"})
    assert said.exit_code == 2 and f"{VARIABLE} = 'mlruns'" in said.output


@pytest.mark.parametrize("uri", ["mlruns", "databricks", "file:///tmp/x", "s3://b/x", "http://[::1", "http://:5000"])
def test_what_is_no_store_is_refused_where_it_was_said(monkeypatch, uri):
    assert [problem.path for problem in mlflow.problems(uri)] == ["--mlflow"]
    monkeypatch.setenv(VARIABLE, uri)
    assert [problem.path for problem in mlflow.problems(None)] == [VARIABLE]
    assert mlflow.problems("sqlite:///x.db") == []


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000/base", "https://[::1]:5000", "postgresql+psycopg://u:p@h/d"])
def test_what_may_be_one_is_not(uri):
    assert mlflow.problems(uri) == []
