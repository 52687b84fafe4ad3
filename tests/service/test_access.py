"""The token of a local Ray, which only its owner reads, and the word for it where one joins another."""

import os
from pathlib import Path

import pytest
from service.launched import modes

from impray.service.ray import access
from impray.spec.errors import SweepError


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty home folder, and no word about tokens in the environment."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (access.MODE, access.TOKEN, access.TOKEN_PATH):
        monkeypatch.setenv(name, "")  # put back at the end, even if what is tested sets it
        monkeypatch.delenv(name)
    monkeypatch.setattr(access.sys, "modules", {})  # as if ray had not been imported
    return tmp_path


def test_a_token_that_all_could_read_is_closed_and_kept(home):
    access.token_file().parent.mkdir(mode=0o755)
    access.token_file().write_text("mine")
    access.token_file().chmod(0o644)
    access.ask_for_token(None)
    assert modes(access.token_file()) == (0o700, 0o600) and access.token_file().read_text() == "mine"
    assert os.environ[access.MODE] == "token"


def test_a_token_is_made_once(home):
    access.ask_for_token(None)
    first = access.token_file().read_text()
    access.ask_for_token(None)
    assert access.token_file().read_text() == first and os.listdir(home / ".ray") == ["auth_token"]


def test_what_the_user_says_of_tokens_stays(home, monkeypatch):
    monkeypatch.setenv(access.MODE, "disabled")
    access.ask_for_token(None)
    access.ask_for_token("127.0.0.1:6379")
    assert os.environ[access.MODE] == "disabled" and not (home / ".ray").exists()


def test_a_token_elsewhere_is_enough(home, monkeypatch):
    (home / "elsewhere").write_text("x")
    monkeypatch.setenv(access.TOKEN_PATH, str(home / "elsewhere"))
    access.ask_for_token("127.0.0.1:6379")
    assert not (home / ".ray").exists()


def test_joining_without_a_token_says_how_to_get_one(home):
    with pytest.raises(SweepError) as told:
        access.ask_for_token("10.0.0.1:6379")
    assert all(
        word in str(told.value) for word in ("--address", "10.0.0.1:6379", "auth_token", f"{access.MODE}=disabled")
    )


def test_a_home_that_cannot_be_written_does_with_a_token_of_this_run(home, monkeypatch):
    (home / ".ray").write_text("a file, where the folder should be")
    access.ask_for_token(None)
    assert len(os.environ[access.TOKEN]) == 64


def test_the_environment_is_as_it_was(monkeypatch):
    monkeypatch.setenv("IMPRAY_ONE", "1")
    with pytest.raises(KeyError), access.only_here({"IMPRAY_ONE": "2", "IMPRAY_TWO": "2"}):
        assert (os.environ["IMPRAY_ONE"], os.environ["IMPRAY_TWO"]) == ("2", "2")
        raise KeyError
    assert os.environ["IMPRAY_ONE"] == "1" and "IMPRAY_TWO" not in os.environ
