"""A cluster without workers yet is split for as many as it may fetch."""

import yaml

from impray.service.ray.fetched import BOOTSTRAP, most

SAID = {
    "max_workers": 8,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "worker": {"resources": {"CPU": 4, "GPU": 1, "accelerator_type:T4": 1}, "min_workers": 0, "max_workers": 6},
    },
}


def told(tmp_path, said):
    (tmp_path / BOOTSTRAP).write_text(said if isinstance(said, str) else yaml.safe_dump(said))
    return most(tmp_path)


def test_all_workers_count_whether_they_are_there_or_not(tmp_path):
    assert told(tmp_path, SAID) == {"CPU": 24, "GPU": 6, "accelerator_type:T4": 6}
    assert told(tmp_path, {**SAID, "max_workers": 2})["GPU"] == 2


def test_the_head_counts_once(tmp_path):
    nodes = {"head": {"resources": {"CPU": 2}, "max_workers": 0}}
    assert told(tmp_path, {**SAID, "available_node_types": nodes}) == {"CPU": 2}


def test_what_is_no_head_has_nothing_to_come(tmp_path):
    assert most(tmp_path) == {}
    for said in ("", "a: [", "[]", "max_workers: 3", "available_node_types: {a: 3}"):
        assert told(tmp_path, said) == {}
