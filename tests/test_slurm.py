"""The Slurm script: its parts with stand-ins for Slurm and Ray, and a sweep that the time limit cuts in two, on the real Ray."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from cluster_file_checks import CHECKOUT
from conftest import assert_same_tables, tiny

SCRIPT = CHECKOUT / "docs/impray.sbatch"
# Stand-ins. A step of srun runs here; one address of three is IPv4.
PROGRAMS = {
    "scontrol": 'echo "scontrol $*" >> $CALLS; [ "$1" != show ] || printf "node%s\\n" 07 08 09',
    "srun": 'echo "srun $*" >> $CALLS; while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "hostname": 'echo "fd00::2 10.11.12.13 172.17.0.1 "',
}
RAY = {
    "ray": 'echo "ray $* mode=$RAY_AUTH_MODE token=$(cat $RAY_AUTH_TOKEN_PATH)" >> $CALLS; exec sleep 60',
    "python": 'grep -c "^ray start" $CALLS',  # asked how many nodes there are
    "impray": 'echo "impray $*" >> $CALLS; exit ${IMPRAY_ENDS:-0}',
}
STOPPABLE = """
trap 'echo interrupted >> $CALLS; exit 130' INT
echo "impray $*" >> $CALLS
while true; do sleep 0.05; done
"""


@pytest.fixture
def job(tmp_path):
    """A job of three nodes, all of them this machine."""
    return Job(tmp_path)


class Job:
    def __init__(self, folder: Path, number: int = 41217) -> None:
        self.calls, self.home = folder / "calls", folder / "home"
        self.programs, self.venv = folder / "programs", folder / "venv"
        self.home.mkdir(exist_ok=True)
        self.put(self.programs, PROGRAMS)
        self.put(self.venv / "bin", RAY)
        self.environment = {
            **os.environ,
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "CALLS": str(self.calls),
            "IMPRAY_VENV": str(self.venv),
            "SLURM_JOB_ID": str(number),
            "SLURM_JOB_NODELIST": "node[07-09]",
            "SLURM_CPUS_PER_TASK": "1",
            "SLURM_SUBMIT_DIR": str(CHECKOUT),
        }

    @staticmethod
    def put(folder: Path, programs: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in programs.items():
            (folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
            (folder / name).chmod(0o755)

    def part(self, commands: str) -> str:
        """What some of the script's functions print."""
        words = ["bash", "-c", f"source {SCRIPT}; settings; {commands}"]
        return subprocess.run(
            words, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def start(self, *arguments: str) -> subprocess.Popen:
        copy = self.home / "slurm_script"  # as Slurm does
        shutil.copy(SCRIPT, copy)
        return subprocess.Popen(
            ["bash", str(copy), *arguments],
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )

    def called(self, word: str) -> list[str]:
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [line for line in lines if line.startswith(word)]

    def wait_for(self, word: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not self.called(word):
            assert time.monotonic() < deadline, f"no {word}"
            time.sleep(0.05)


def ended(job: subprocess.Popen, seconds: float = 60) -> tuple[int, str]:
    try:
        text, _ = job.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        raise
    return job.returncode, text


def test_it_is_shell_and_asks_slurm_for_what_the_page_says():
    assert subprocess.run(["bash", "-n", str(SCRIPT)]).returncode == 0
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", SCRIPT.read_text(), re.MULTILINE))
    assert asked["ntasks-per-node"] == "1" and {"requeue", "no-kill", "exclusive"} <= asked.keys()
    assert re.fullmatch(r"B:USR1@\d+", asked["signal"]) and int(asked["signal"].split("@")[1]) >= 120
    assert asked["open-mode"] == "append"  # the log of a job that is queued again goes on, too
    assert not re.search(r"0\.0\.0\.0|ray stop", SCRIPT.read_text())  # `ray stop` would end other people's


def test_nodes_and_the_address_of_the_first(job):
    assert job.part("node_names").split() == ["node07", "node08", "node09"]
    assert job.part("address_of node07").strip() == "10.11.12.13"
    assert job.called("scontrol") == ["scontrol show hostnames node[07-09]"]


def test_two_jobs_meet_on_no_port_and_in_no_folder(tmp_path):
    said = [Job(tmp_path, number).part('echo "$PORT $SCRATCH $STATE"').split() for number in (41217, 41218)]
    assert all(one != other for one, other in zip(*said, strict=True))
    assert all(1024 < int(Job(tmp_path, n).part("echo $PORT")) < 65536 for n in (1, 19999, 20000, 99999999))


def test_a_token_is_private_kept_within_a_job_and_another_in_the_next(tmp_path):
    said = [Job(tmp_path, number).part("make_token; cat $RAY_AUTH_TOKEN_PATH; make_token") for number in (1, 1, 2)]
    assert said[0] == said[1] != said[2] and all(re.fullmatch("[0-9a-f]{64}", token) for token in said)
    token = tmp_path / "home/.impray/slurm-1/token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600 and stat.S_IMODE(token.parent.stat().st_mode) == 0o700


def test_a_job_starts_one_ray_per_node_with_one_token_and_leaves_nothing(job):
    code, text = ended(job.start("quickstart", "--set", "rounds=3"))
    assert code == 0, text
    head, *workers = job.called("ray start")
    assert "--head" in head and "--port=21217" in head and "--node-ip-address=10.11.12.13" in head
    assert len(workers) == 2 and all("--address=10.11.12.13:21217" in worker for worker in workers)
    assert len({line.partition("mode=")[2] for line in (head, *workers)}) == 1 and "mode=token token=" in head
    assert job.called("impray") == ["impray sweep quickstart --set rounds=3 --address 10.11.12.13:21217"]
    steps = [re.search(r"--nodelist=(\S+)", step)[1] for step in job.called("srun") if " start " in step]
    assert steps[0] == "node07" and sorted(steps[1:]) == ["node08", "node09"]
    assert not list((job.home / ".impray").iterdir()) and not job.called("scontrol requeue")
    assert token_of(head) not in text


def token_of(line: str) -> str:
    return line.rpartition("token=")[2]


def test_a_sweep_that_fails_is_a_job_that_fails_and_is_not_queued_again(job):
    job.environment["IMPRAY_ENDS"] = "2"
    code, _ = ended(job.start("no_such_sweep"))
    assert code == 2 and not job.called("scontrol requeue")


def test_a_ray_that_does_not_start_is_told_with_its_log(job):
    job.put(job.venv / "bin", {"ray": "echo no room in /tmp; exit 1", "python": "exit 1"})
    code, text = ended(job.start("quickstart"))
    assert code == 1 and "node07" in text and "no room in /tmp" in text
    assert not job.called("impray") and not list((job.home / ".impray").iterdir())


@pytest.mark.parametrize(
    ("number", "again", "code"), [(signal.SIGUSR1, 1, 0), (signal.SIGTERM, 0, 130)], ids=["time limit", "scancel"]
)
def test_the_time_limit_stops_the_sweep_and_queues_the_job_again_and_scancel_does_not(job, number, again, code):
    job.put(job.venv / "bin", {"impray": STOPPABLE})
    running = job.start("quickstart")
    job.wait_for("impray")
    running.send_signal(number)  # to the batch shell alone, as `--signal=B:` does
    assert ended(running)[0] == code
    assert job.called("interrupted") == ["interrupted"]
    assert job.called("scontrol requeue") == ["scontrol requeue 41217"] * again


def test_a_sweep_that_ends_under_the_signal_is_done(job):
    job.put(job.venv / "bin", {"impray": STOPPABLE.replace("exit 130", "exit 0")})
    running = job.start("quickstart")
    job.wait_for("impray")
    running.send_signal(signal.SIGUSR1)
    assert ended(running)[0] == 0 and not job.called("scontrol requeue")


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_cut_in_two_by_the_time_limit_gives_the_tables_of_one_machine(tmp_path):
    job = Job(tmp_path, number=os.getpid())
    job.put(job.programs, {**PROGRAMS, "scontrol": PROGRAMS["scontrol"].replace("07 08 09", "07 08")})
    (job.programs / "hostname").unlink()
    job.environment |= {"IMPRAY_VENV": str(Path(sys.executable).parent.parent), "PYTHONPATH": str(CHECKOUT)}
    file = tmp_path / "tiny.yaml"
    long = tiny(**{"trial.train.steps": 4000, "rounds": 6, "measures": ["accuracy", "loss", "density"]})
    file.write_text(yaml.safe_dump(long))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = [str(file), "--mlflow", "off", "--no-figures", "--out"]
    here = [sys.executable, "-m", "impray.cli", "sweep", *words, str(whole), "--where", "here"]
    subprocess.run(here, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(CHECKOUT)})

    first = job.start(*words, str(parts))
    deadline = time.monotonic() + 120
    while not list(parts.glob("tiny/tables/rounds/*.parquet")):
        assert first.poll() is None and time.monotonic() < deadline, ended(first)
        time.sleep(0.05)
    first.send_signal(signal.SIGUSR1)
    code, text = ended(first, 120)
    assert code == 0 and job.called("scontrol requeue"), text
    code, text = ended(job.start(*words, str(parts)), 180)
    assert code == 0 and len(job.called("scontrol requeue")) == 1, text
    assert_same_tables(whole / "tiny", parts / "tiny", ("rounds", "fates"))
    assert not Path(f"/tmp/impray-{os.getpid()}").exists() and not list((job.home / ".impray").iterdir())
