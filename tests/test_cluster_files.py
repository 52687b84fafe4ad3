"""Cluster files, offline: Ray's checks, ours for what those miss, wrong variants that must be caught, commands run with stand-ins."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from cluster_file_checks import CHECKOUT, problems

FILES = ("cluster.yaml", "cluster.gcp.yaml", "cluster.local.yaml")
AWS, GCP, LOCAL = FILES


def text_of(file: str) -> str:
    return (CHECKOUT / file).read_text()


def config_of(file: str) -> dict:
    return yaml.safe_load(text_of(file))


@pytest.mark.parametrize("file", FILES)
def test_a_cluster_file_is_right(file):
    assert problems(text_of(file)) == []


def test_every_cluster_file_is_looked_at():
    assert sorted(path.name for path in CHECKOUT.glob("cluster*.yaml")) == sorted(FILES)


@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"),
    [
        # what Ray finds
        (AWS, "idle_timeout_minutes:", "idle_timeout_minute:", "Ray refuses"),
        (AWS, "head_node_type: head", "head_node_type: haed", "Ray refuses"),
        (LOCAL, "head_ip:", "head_ips:", "Ray refuses"),
        # what Ray does not find
        (AWS, "  cache_stopped_nodes:", "  cached_stopped_nodes:", "nothing that Ray reads"),
        (GCP, "  project_id:", "  project:", "nothing that Ray reads"),
        (LOCAL, "  worker_ips:", "  external_ip: x\n  worker_ips:", "nothing that Ray reads"),
        (AWS, "    GroupName: impray", "    IpPermissions: []", "made by docs/aws.yaml"),
        (AWS, "InstanceMarketOptions: { MarketType: spot }", "InstanceMarketOption: { MarketType: spot }", "InstanceMarketOption"),
        (AWS, "InstanceMarketOptions: { MarketType: spot }", "InstanceMarketOptions: { Market: spot }", "Market"),
        (AWS, "VolumeSize: 150", "VolumeSize: '150'", "VolumeSize"),
        (AWS, "      InstanceMarketOptions: { MarketType: spot }\n", "", "on spot"),
        (AWS, "InstanceType: m7i.xlarge", "InstanceMarketOptions: { MarketType: spot }\n      InstanceType: m7i.xlarge", "on demand"),
        (AWS, "      IamInstanceProfile: { Name: impray-head }\n", "", "instance profile"),
        (AWS, "HttpTokens: required", "HttpTokens: optional", "forged"),
        (AWS, "min_workers: 0", "min_workers: 1", "stays"),
        (AWS, 'resources: { "CPU": 0 }', "resources: {}", "on the head"),
        (GCP, "preemptible: true", "preemptable: true", "preemptable"),
        (GCP, "preemptible: true", "preemptible: false", "must be preemptible"),
        (GCP, "guestAccelerators: [{", "guestAccelerator: [{", "guestAccelerator"),
        (GCP, "onHostMaintenance: TERMINATE", "onHostMaintenance: MIGRATE", "TERMINATE"),
        (GCP, "sourceImage:", "image:", "image"),
        *((file, " RAY_AUTH_MODE=token ray start --address", " ray start --address", "no token") for file in FILES),
        *((file, "RAY_AUTH_MODE=token ray start --head", "RAY_AUTH_MODE=disabled ray start --head", "no token") for file in FILES),
        *((file, "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "every interface") for file in FILES),
        *((file, " --dashboard-host=127.0.0.1", "", "must listen on 127.0.0.1") for file in FILES),
        *((file, "--host 127.0.0.1", "--host 10.0.0.1", "must listen on 127.0.0.1") for file in FILES),
        *((file, "ray[default]==2.60.0", "ray[default]==2.59.0", "constraints.txt") for file in FILES),
        *((file, "-c constraints.txt", "", "not pinned") for file in FILES),
        *((file, "|| echo '. ~", "|| echo . ~", "not shell") for file in FILES),
        *((file, "  - ~/venv/bin/ray stop", "  - '~/venv/bin/ray stop # ends it'", "not shell") for file in FILES),
        *((file, "~/impray: .", "~/impray: ./nowhere", "there is no ./nowhere") for file in FILES),
        *((file, "  ~/.ray/auth_token: ~/.ray/auth_token\n", "", "does not travel") for file in FILES),
        *((file, "chmod 600 ~/.ray/auth_token", "true", "read by others") for file in FILES),
        *((file, ".git, ", "", ".git would be sent") for file in FILES),
        *((file, "setsid --fork ", "", "setsid") for file in FILES),
        *((file, "# 4. ", "# ", "marked 1. to 5.") for file in FILES),
        *((file, " --head", "", "must be the head") for file in FILES),
        (LOCAL, "RAY_enable_autoscaler_v2=0 ", "", "own machines"),
        (AWS, "RAY_AUTH_MODE=token ray start --head", "RAY_AUTH_MODE=token RAY_enable_autoscaler_v2=0 ray start --head", "own machines"),
    ],
)  # fmt: skip
def test_a_wrong_variant_is_caught(file, right, wrong, said):
    text = text_of(file)
    assert right in text, "the variant is none"
    found = problems(text.replace(right, wrong))
    assert any(said in line for line in found), found


@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
@pytest.mark.parametrize("file", FILES)
def test_what_is_sent_is_the_sources_and_nothing_else(file, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    sent = ["constraints.txt", "sweeps/quickstart.yaml", "impray/results/mlflow/runs.py", "data/build/mnist"]
    kept = [
        ".git/config",
        ".venv/bin/python",
        "runs/quickstart/mlflow.db",
        "impray/__pycache__/run.pyc",
        ".env",
        "my.pem",
    ]
    for name in (*sent, *kept):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("x")
    excludes = [
        word for pattern in config_of(file)["rsync_exclude"] for word in ("--exclude", pattern)
    ]  # as Ray calls it
    subprocess.run(["rsync", "-a", *excludes, f"{here}/", f"{there}/"], check=True)
    assert sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()) == sorted(sent)


@pytest.fixture
def node(tmp_path):
    """Runs commands as Ray does on a node, whose programs only write down how they were called."""
    home, programs = tmp_path / "home", tmp_path / "programs"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray/auth_token").write_text("0" * 32)
    (home / ".bashrc").write_text(f"PATH={programs}:$PATH # somebody's\n")
    (home / "venv/bin").mkdir(parents=True)
    programs.mkdir()
    note = f'#!/usr/bin/env bash\necho "${{0##*/}} $* mode=$RAY_AUTH_MODE jobs=$MLFLOW_SERVER_ENABLE_JOB_EXECUTION" >> {tmp_path}/calls\n'
    write_program(home / "venv/bin/ray", note)
    write_program(home / "venv/bin/mlflow", note + "exec sleep 30\n")
    write_program(
        programs / "curl", "#!/usr/bin/env bash\ncase $* in *region*) echo eu-test-1 ;; *) echo session ;; esac\n"
    )

    def run(*commands: str) -> list[str]:
        for command in commands:
            words = ["bash", "--login", "-c", "-i", f"source ~/.bashrc; export OMP_NUM_THREADS=1 && ({command})"]
            variables = {"HOME": str(home), "PATH": os.environ["PATH"], "RAY_HEAD_IP": "10.0.0.1"}
            done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=20)
            assert done.returncode == 0, done.stderr
        calls = tmp_path / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    run.home = home
    yield run
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # ended meanwhile
            continue
        if words[0] == b"flock" and f"{home}/mlflow/lock".encode() in words:
            os.killpg(int(process.name), signal.SIGTERM)  # `setsid` made it the first of a group


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def setup(file: str) -> list[str]:
    """The setup commands that install nothing."""
    config = config_of(file)
    everything = [*config["setup_commands"], *config.get("head_setup_commands", [])]
    return [command for command in everything if "pip install" not in command and "apt-get" not in command]


@pytest.mark.parametrize("file", FILES)
def test_a_node_is_set_up_the_same_once_and_twice(file, node):
    commands = setup(file)
    node(*commands)
    first = {name: (node.home / name).read_text() for name in (".impray_env", ".bashrc")}
    node(*commands)
    assert {name: (node.home / name).read_text() for name in first} == first
    assert "# somebody's" in first[".bashrc"]
    assert (node.home / ".ray/auth_token").stat().st_mode & 0o777 == 0o600
    assert (node.home / ".ray").stat().st_mode & 0o777 == 0o700
    node(
        'test "$RAY_AUTH_MODE" = token && test -n "$STORE" && test "$(command -v ray)" = ~/venv/bin/ray'
    )  # in every shell
    if file == AWS:
        node("test $AWS_REGION = eu-test-1")


@pytest.mark.parametrize("file", FILES)
def test_head_and_workers_start_with_the_token_and_a_second_ray_up_starts_no_second_mlflow(file, node):
    node(*setup(file))
    config = config_of(file)
    began = time.monotonic()
    node(*config["head_start_ray_commands"], *config["head_start_ray_commands"], *config["worker_start_ray_commands"])
    assert time.monotonic() - began < 15, "a start command waits for what it started"
    deadline = time.monotonic() + 10
    while sum(call.startswith(("ray start", "mlflow")) for call in node()) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)  # some of them start in the background
    calls = node()
    started = [call for call in calls if call.startswith("ray start")]
    assert len(started) == 3 and all("mode=token" in call for call in started)
    assert "--address=10.0.0.1:6379" in started[-1]
    servers = [call for call in calls if call.startswith("mlflow")]
    assert len(servers) == 1 and "jobs=false" in servers[0]


@pytest.mark.parametrize("page", ["cluster.md", "slurm.md"])
def test_a_page_names_only_files_that_are_there(page):
    named = set(re.findall(r"[\w./-]+\.(?:yaml|sbatch|txt|md)\b", (CHECKOUT / "docs" / page).read_text()))
    assert named and all((CHECKOUT / name).exists() or (CHECKOUT / "docs" / name).exists() for name in named), named


def test_a_newcomer_types_ten_lines_at_most_and_the_file_has_what_they_name():
    text = (CHECKOUT / "docs/cluster.md").read_text()
    block = re.search(r"## From an AWS account to a figure\n\n```sh\n(.*?)```", text, re.DOTALL)[1]
    assert subprocess.run(["bash", "-n"], input=block, text=True).returncode == 0
    assert len(block.replace("\\\n", "").splitlines()) <= 10
    forwarded = set(re.findall(r"-p (\d+)", block))
    assert set(re.findall(r"http://127\.0\.0\.1:(\d+)", block)) <= forwarded
    commands = "\n".join(config_of(AWS)["head_start_ray_commands"])
    assert all(re.search(rf"-port[= ]{port}\b", commands) for port in forwarded)
    store = re.search(r"STORE=(\S+)", "\n".join(config_of(AWS)["head_setup_commands"]))[1]
    assert f"--out {store}/" in block and f"Bucket={store.removeprefix('s3://')} " in block
