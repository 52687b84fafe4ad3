"""What is secret in a text is found, and hidden; what only looks like it is left alone."""

import pytest
from conftest import tiny
from pydantic import ValidationError

from impray.spec.errors import DataError, Problem, SweepError
from impray.spec.sweep import Sweep
from impray.spec.text import cut, hidden, refusal, secret_in

KEY = "5ecr3t"
SECRETS = [
    f"https://me:{KEY}@host/x.npz", f"https://{KEY}@host/x", f"s3://AKIA:{KEY}@bucket/x", f"postgresql://me:a/{KEY}@h/db",
    f"https://h/x.npz?X-Amz-Signature={KEY}", f"https://h/x?sv=2024&sig={KEY}", f"abfs://c@h/x?account_key={KEY}",
    f"https://me:a'b {KEY}@h/x", f"https://me:a@{KEY}@h/x", f"s3://b/x?endpoint_override=http%3A%2F%2Fme%3A{KEY}%40h",
    f"see https://me:{KEY}@h for more", f"HTTPS://h/x?Access_Token={KEY}",
]  # fmt: skip
PLAIN = [
    "s3://bucket/a@b.npz", "gs://anonymous@bucket/x", "s3://bucket/x?region=eu-west-1&scheme=http", "https://doi.org/10.1/x?y=z",
    "file:///home/me/a@b.npz", "http://127.0.0.1:8265/x", "sqlite:////tmp/a@b?c.db", "me@example.org: a question", "http://[::1]:5000/a@b",
]  # fmt: skip


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_found_hidden_and_refused(text):
    assert secret_in(text) and refusal({"a": [text]}) and refusal({text: 1})
    for told in (
        Problem("p", text, text, place=text),
        SweepError(text, [Problem("p", repr(text), "r")]),
        DataError(f"{text}: no"),
    ):
        assert KEY not in str(told)


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_is_left_alone(text):
    assert secret_in(text) is None and refusal(text) is None
    assert hidden(f"{text}: no") == f"{text}: no"


@pytest.mark.parametrize(
    "field", ["question", "caveat", "trial.data.kind", "trial.net.kind", "plugins", "figures", "search.space"]
)
@pytest.mark.parametrize("text", SECRETS[:6])
def test_no_field_takes_one_and_no_error_repeats_it(field, text):
    value = {"data.gain": [1, text]} if field == "search.space" else [text] if field in ("plugins", "figures") else text
    with pytest.raises(ValidationError) as caught:
        Sweep.model_validate(tiny(**{field: value}))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("length", [79, 80, 81, 10**6])
def test_a_cut_text_keeps_its_ends_and_no_more_than_that(length):
    text = "a" * (length - 1) + "z"
    assert cut(text) == text if length <= 80 else (len(cut(text)), cut(text)[-1]) == (80, "z")
