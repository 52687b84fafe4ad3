"""What a cluster file must be, beyond what Ray itself checks: each check gives sentences about what is wrong, none if nothing is."""

import copy
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parent.parent
MADE_ON_THE_LAPTOP = "~/.ray/auth_token"
NEVER_SENT = (
    ".git",
    ".venv",
    "/runs",
    "*.pem",
    ".env",
)  # no slash at the end: .git is a file in a worktree, runs may be a link
COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
# Ray takes any word under `provider`, and reads these.
PROVIDER = {
    "aws": {
        "type",
        "region",
        "availability_zone",
        "cache_stopped_nodes",
        "security_group",
        "key_pair",
        "use_internal_ips",
    },
    "gcp": {"type", "region", "availability_zone", "project_id", "cache_stopped_nodes", "use_internal_ips"},
    "local": {"type", "head_ip", "worker_ips", "external_head_ip"},
}
# Of the schemas Instance, AttachedDisk ... in Google's description of compute v1; Ray sends them on unseen.
GCP = {
    "": {"machineType", "guestAccelerators", "scheduling", "disks", "serviceAccounts", "networkInterfaces", "metadata", "labels", "tags"},
    "guestAccelerators": {"acceleratorType", "acceleratorCount"},
    "scheduling": {"preemptible", "provisioningModel", "instanceTerminationAction", "onHostMaintenance", "automaticRestart"},
    "disks": {"boot", "autoDelete", "type", "initializeParams", "diskSizeGb"},
    "initializeParams": {"diskSizeGb", "sourceImage", "diskType"},
    "serviceAccounts": {"email", "scopes"},
}  # fmt: skip


def problems(text: str) -> list[str]:
    """Everything that is wrong with a cluster file's text."""
    config = yaml.safe_load(text)
    found = [*ray_refuses(config)]
    if not found:
        for check in (provider, nodes, starts, sockets, installs, shell, mounts, mlflow):
            found += check(config)
    return [*found, *marks(text)]


def ray_refuses(config: dict) -> Iterator[str]:
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        validate_config(prepare_config(copy.deepcopy(config)))
    except (Exception, SystemExit) as error:  # Ray raises what it likes, and exits
        yield f"Ray refuses it: {str(error).splitlines()[:1]}"


def kind(config: dict) -> str:
    return config["provider"]["type"]


def provider(config: dict) -> Iterator[str]:
    for word in config["provider"].keys() - PROVIDER[kind(config)]:
        yield f"provider: {word} is nothing that Ray reads"
    group = config["provider"].get("security_group", {})
    if kind(config) == "aws" and (not group.get("GroupName") or "IpPermissions" in group):
        yield "provider: the security group is made by docs/aws.yaml, with its rules"


def nodes(config: dict) -> Iterator[str]:
    """Types of machines; own machines have none."""
    if kind(config) == "local":
        return
    for name, node in config["available_node_types"].items():
        head = name == config["head_node_type"]
        wrong = {"aws": aws_node, "gcp": gcp_node}[kind(config)](node["node_config"], head)
        yield from (f"{name}: {what}" for what in wrong)
        if not head and node.get("min_workers", 0) != 0:
            yield f"{name}: stays when nothing is to do"
        if head and node["resources"].get("CPU") != 0:
            yield f"{name}: packs would run on the head"


def aws_node(node: dict, head: bool) -> Iterator[str]:
    from botocore.validate import ParamValidator

    report = ParamValidator().validate({**node, "MinCount": 1, "MaxCount": 1}, run_instances())
    if report.has_errors():
        yield report.generate_report()
    spot = node.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
    if spot == head:
        yield "the head must be on demand" if head else "workers must be on spot"
    if not node.get("IamInstanceProfile", {}).get("Name"):
        yield "without an instance profile Ray gives all of EC2 and every bucket"
    if node.get("MetadataOptions", {}).get("HttpTokens") != "required":
        yield "credentials could be had through a forged request"


@cache
def run_instances():  # noqa: ANN201
    """What EC2's RunInstances takes, from botocore's description of it."""
    import botocore.session

    return botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape


def gcp_node(node: dict, head: bool) -> Iterator[str]:
    def unknown(place: str, value: object) -> Iterator[str]:
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                yield from (f"{place or 'node_config'}: no {word} in Google's API" for word in part.keys() - GCP[place])
                for word, inner in part.items():
                    if word in GCP:
                        yield from unknown(word, inner)

    yield from unknown("", node)
    scheduling = {key: value for part in node.get("scheduling", []) for key, value in part.items()}
    if scheduling.get("preemptible", False) is head:
        yield "the head must be on demand" if head else "workers must be preemptible"
    if node.get("guestAccelerators") and scheduling.get("onHostMaintenance") != "TERMINATE":
        yield "a machine with a GPU cannot be moved: onHostMaintenance must be TERMINATE"


def commands(config: dict) -> list[str]:
    return [command for key in COMMANDS for command in config.get(key, [])]


def starts(config: dict) -> Iterator[str]:
    heads = [c for c in config["head_start_ray_commands"] if " ray start" in c]
    workers = [c for c in config["worker_start_ray_commands"] if " ray start" in c]
    if len(heads) != 1 or len(workers) != 1:
        yield "one `ray start` for the head and one for workers"
        return
    for command in (*heads, *workers):
        if not re.search(r"(^|\s)RAY_AUTH_MODE=token( \w+=\S+)* ray start ", command):
            yield f"no token: {command}"
    if "--head" not in heads[0] or "--autoscaling-config=~/ray_bootstrap_config.yaml" not in heads[0]:
        yield "the head must be the head, and know how to fetch workers"
    if "--address=$RAY_HEAD_IP:6379" not in workers[0]:
        yield "workers must join the head"
    if ("RAY_enable_autoscaler_v2=0 " in heads[0]) != (kind(config) == "local"):
        yield "RAY_enable_autoscaler_v2=0 is for own machines, and only for them"


def sockets(config: dict) -> Iterator[str]:
    text = "\n".join(commands(config))
    if "0.0.0.0" in text or "::/0" in yaml.safe_dump(config):
        yield "something listens on every interface, or is open to everybody"
    hosts = re.findall(r"--(?:dashboard-)?host[= ](\S+)", text)
    if hosts != ["127.0.0.1"] * 2:
        yield f"dashboard and MLflow must listen on 127.0.0.1, not {hosts}"


def installs(config: dict) -> Iterator[str]:
    pinned = dict(line.split("==") for line in (CHECKOUT / "constraints.txt").read_text().split())
    text = "\n".join(commands(config))
    if re.findall(r"ray\[default\]==(\S+?)'", text) != [pinned["ray"]]:
        yield f"Ray must be {pinned['ray']}, as in constraints.txt"
    for call in re.findall(r"pip install [^&]*", text):
        if not re.search(r"-c \S*constraints\.txt", call):
            yield f"not pinned: {call}"
    if "-e '.[cluster]'" not in text:
        yield "this project is not installed from the checkout"


def shell(config: dict) -> Iterator[str]:
    for command in commands(config):
        for text in (command, f"true && ({command})"):  # Ray puts it between brackets: a comment would swallow the last
            checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
            if checked.returncode:
                yield f"not shell: {text}: {checked.stderr}"


def mounts(config: dict) -> Iterator[str]:
    for there, here in config["file_mounts"].items():
        if here != MADE_ON_THE_LAPTOP and not (CHECKOUT / here).exists():
            yield f"file_mounts: {there}: there is no {here}"
    if config["file_mounts"].get("~/.ray/auth_token") != MADE_ON_THE_LAPTOP:
        yield "file_mounts: the token does not travel"
    if not any("chmod 600 ~/.ray/auth_token" in command for command in config["setup_commands"]):
        yield "the token can be read by others on the node"
    for pattern in NEVER_SENT:
        if pattern not in config["rsync_exclude"]:
            yield f"rsync_exclude: {pattern} would be sent"


def mlflow(config: dict) -> Iterator[str]:
    servers = [command for command in config["head_start_ray_commands"] if "mlflow server" in command]
    if len(servers) != 1 or any("mlflow server" in command for command in config["worker_start_ray_commands"]):
        yield "MLflow runs once, on the head"
        return
    for part in (
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false",
        "setsid --fork",
        "flock --nonblock",
        "--allowed-hosts",
        "< /dev/null",
    ):
        if part not in servers[0]:
            yield f"MLflow: {part} is missing"


def marks(text: str) -> Iterator[str]:
    found = re.findall(r"^[^#\n]*\S[^#\n]*# (\d)\.", text, re.MULTILINE)
    if sorted(found) != list("12345"):
        yield f"the lines to change must be marked 1. to 5., once each, not {found}"
