"""cluster.yaml and docs/aws.yaml through Ray's own AWS code, against moto: what `ray up` would make, without a cloud."""

import re

import pytest
import yaml
from cluster_file_checks import CHECKOUT

moto = pytest.importorskip("moto")
pytestmark = pytest.mark.slow
REGION = "eu-central-1"
BUCKET = "my-impray-bucket"
OWN = "203.0.113.7/32"
STACK = CHECKOUT / "docs/aws.yaml"


class Up:
    """An account with the stack, a cluster's head and one worker in it."""

    def __init__(self) -> None:
        import boto3
        from ray.autoscaler._private.providers import _NODE_PROVIDERS, _get_node_provider
        from ray.autoscaler._private.util import prepare_config, validate_config

        self.client = lambda service: boto3.client(service, REGION)
        parameters = {"Bucket": BUCKET, "SshFrom": OWN}
        self.client("cloudformation").create_stack(
            StackName="impray",
            TemplateBody=STACK.read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        self.roles = self.client("iam").list_roles()["Roles"]
        config = prepare_config(yaml.safe_load((CHECKOUT / "cluster.yaml").read_text()))
        aws = _NODE_PROVIDERS["aws"](config["provider"])
        config = aws.bootstrap_config(aws.fillout_available_node_types_resources(config))
        validate_config({key: value for key, value in config.items() if key != "head_node"})
        self.config = config
        provider = _get_node_provider(config["provider"], config["cluster_name"])
        for name, node in config["available_node_types"].items():
            provider.create_node(node["node_config"], {"ray-user-node-type": name}, 1)
        found = [i for r in self.client("ec2").describe_instances()["Reservations"] for i in r["Instances"]]
        self.machines = {
            tag["Value"]: machine for machine in found for tag in machine["Tags"] if tag["Key"] == "ray-user-node-type"
        }


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")  # Ray writes its key pair there
    with pytest.MonkeyPatch.context() as patch, moto.mock_aws():
        patch.setenv("HOME", str(home))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        yield Up()


def test_the_head_is_on_demand_and_workers_are_on_spot(up):
    assert {name: machine.get("InstanceLifecycle") for name, machine in up.machines.items()} == {
        "head": None,
        "worker": "spot",
    }


def test_ray_counts_the_workers_gpu_and_nothing_on_the_head(up):
    types = up.config["available_node_types"]
    assert types["worker"]["resources"]["GPU"] == 1 and types["head"]["resources"] == {"CPU": 0}
    assert types["worker"]["max_workers"] == up.config["max_workers"] and types["head"]["max_workers"] == 0


def test_only_its_members_and_one_address_get_in(up):
    groups = {group["GroupId"] for machine in up.machines.values() for group in machine["SecurityGroups"]}
    assert len(groups) == 1
    [group] = up.client("ec2").describe_security_groups(GroupIds=list(groups))["SecurityGroups"]
    inside, outside = [], []
    for rule in group["IpPermissions"]:
        (inside if rule["UserIdGroupPairs"] else outside).append(rule)
        assert not rule.get("Ipv6Ranges")
    assert [[pair["GroupId"] for pair in rule["UserIdGroupPairs"]] for rule in inside] == [list(groups)]
    assert not inside[0]["IpRanges"] and inside[0]["IpProtocol"] == "-1"
    assert [(rule["FromPort"], rule["ToPort"], [r["CidrIp"] for r in rule["IpRanges"]]) for rule in outside] == [
        (22, 22, [OWN])
    ]


def test_nobody_can_open_ssh_to_everybody_by_mistake():
    pattern = re.search(r"AllowedPattern: '(.*)'", STACK.read_text())[1]
    assert re.fullmatch(pattern, OWN) and re.fullmatch(pattern, "10.1.0.0/16")
    for address in ("0.0.0.0/0", "203.0.113.7", "203.0.113.7/8", "::/0"):
        assert not re.fullmatch(pattern, address)


def test_machines_have_the_profiles_of_the_stack_and_ray_makes_no_role(up):
    profiles = {name: machine["IamInstanceProfile"]["Arn"] for name, machine in up.machines.items()}
    assert {name: arn.rsplit("/")[-1] for name, arn in profiles.items()} == {
        "head": "impray-head",
        "worker": "impray-worker",
    }
    assert len(up.client("iam").list_roles()["Roles"]) == len(up.roles) == 2


class Template(yaml.SafeLoader):
    """A template's `!Ref x` and the like, as the text `x`."""


Template.add_multi_constructor("!", lambda loader, kind, node: loader.construct_scalar(node))


def resources() -> dict:
    return yaml.load(STACK.read_text(), Template)["Resources"]


def statements(profile: str) -> list[dict]:
    """Every right of an instance profile."""
    made = resources()
    [named] = [r for r in made.values() if r.get("Properties", {}).get("InstanceProfileName") == profile]
    [role] = named["Properties"]["Roles"]
    own = [policy["PolicyDocument"] for policy in made[role]["Properties"].get("Policies", [])]
    shared = [made[name]["Properties"]["PolicyDocument"] for name in made[role]["Properties"]["ManagedPolicyArns"]]
    return [statement for document in (*own, *shared) for statement in document["Statement"]]


def words(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("profile", ["impray-head", "impray-worker"])
def test_a_profile_reaches_one_bucket(profile):
    storage = [s for s in statements(profile) if any(action.startswith("s3:") for action in words(s["Action"]))]
    places = {place for statement in storage for place in words(statement["Resource"])}
    assert places == {"arn:${AWS::Partition}:s3:::${Bucket}", "arn:${AWS::Partition}:s3:::${Bucket}/*"}
    actions = {action for statement in storage for action in words(statement["Action"])}
    assert {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"} <= actions
    assert not any("*" in action for action in actions)


def test_a_worker_can_do_nothing_else_and_the_head_passes_on_nothing_but_the_workers_role():
    others = {a for s in statements("impray-worker") for a in words(s["Action"]) if not a.startswith("s3:")}
    assert others == set()
    passing = [s for s in statements("impray-head") if "iam:PassRole" in words(s["Action"])]
    assert [s["Resource"] for s in passing] == ["WorkerRole.Arn"]
    for statement in statements("impray-head"):
        if any(re.search("Terminate|Stop", action) for action in words(statement["Action"])):
            assert "Null" in statement["Condition"]


def test_the_bucket_is_closed_and_outlives_the_stack(up):
    assert BUCKET in [bucket["Name"] for bucket in up.client("s3").list_buckets()["Buckets"]]
    bucket = resources()["Results"]
    assert list(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == [True] * 4
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"


def test_cloudformation_takes_the_stack():
    api = pytest.importorskip("cfnlint.api")
    wrong = [str(match) for match in api.lint_all(STACK.read_text()) if match.rule.severity != "informational"]
    assert wrong == []
    assert not re.search(r": [&*]\w", STACK.read_text())  # it knows no YAML aliases
