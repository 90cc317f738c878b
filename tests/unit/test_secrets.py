"""Secrets in bytes and texts: all of them are found, nothing else is changed, however a stream is cut."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketd.domain.secrets import Secrets, is_telling, secrets_of, values_of_file
from ticketd.domain.settings import AgentProfile, ScopeSettings, SecretSettings, Settings

# Two letters only, so that values begin within one another and are cut in the middle.
VALUES = st.lists(st.text("ab", min_size=6, max_size=9), min_size=1, max_size=4)
PIECES = st.lists(st.text("ab\n", max_size=12), max_size=8)


def named(values: list[str]) -> Secrets:
    return secrets_of((f"N{number}", value) for number, value in enumerate(values))


def in_pieces(secrets: Secrets, pieces: list[bytes]) -> bytes:
    stream = secrets.stream()
    return b"".join([*(stream.feed(piece) for piece in pieces), stream.feed(b"", final=True)])


@given(VALUES, PIECES)
def test_how_a_stream_is_cut_never_changes_what_comes_out(values: list[str], pieces: list[str]) -> None:
    secrets, cut = named(values), [piece.encode() for piece in pieces]
    assert in_pieces(secrets, cut) == secrets.redact(b"".join(cut))


@given(VALUES, PIECES)
def test_what_comes_out_is_what_went_in_with_the_longest_value_at_each_place_replaced(
    values: list[str], pieces: list[str]
) -> None:
    text, secrets, expected, at = "".join(pieces), named(values), "", 0
    while at < len(text):
        here = [value for value in secrets.names if text.encode()[at:].startswith(value)]
        expected += f"[{secrets.names[max(here, key=len)]}]" if here else text[at]
        at += len(max(here, key=len)) if here else 1
    assert secrets.redact(text.encode()).decode() == expected == secrets.redact_text(text)


@given(st.binary(max_size=400))
def test_bytes_without_a_value_pass_as_they_are(content: bytes) -> None:
    secrets = secrets_of([("TOKEN", "a value that no such bytes hold by chance")])
    assert in_pieces(secrets, [content[at : at + 7] for at in range(0, len(content), 7)]) == content


@given(
    st.text(min_size=6, max_size=40).filter(lambda text: len(text.strip()) >= 6),
    st.binary(max_size=9),
    st.binary(max_size=9),
)
def test_a_value_in_base64_is_found_wherever_it_stands_in_what_was_encoded(
    value: str, before: bytes, after: bytes
) -> None:
    secrets, value = secrets_of([("TOKEN", value)]), value.strip()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert secrets.count(encode(before + value.encode() + after))["TOKEN"]


@given(st.text(min_size=6, max_size=40).filter(lambda text: len(text.strip()) >= 6))
def test_a_value_is_found_as_json_and_urls_spell_it(value: str) -> None:
    secrets, value = secrets_of([("TOKEN", value)]), value.strip()
    for spelled in (value, json.dumps(value, ensure_ascii=False), quote(value, safe="")):
        assert secrets.count(spelled.encode())["TOKEN"]


def test_stars_take_no_more_room_than_what_they_stand_for() -> None:
    known = secrets_of([("A", "hush-hush"), ("B", "hush-hush-more")])
    masked = known.stream(masks=True)
    out = b"".join([masked.feed(b"a hush-hu"), masked.feed(b"sh b hush-hush-more"), masked.feed(b" c", final=True)])
    assert out == b"a ********* b ************** c"


def test_whoever_follows_a_log_waits_only_for_what_may_become_a_value() -> None:
    stream = secrets_of([("TOKEN", "hunter-two")]).stream()
    assert stream.feed(b"going on? ") == b"going on? "
    assert stream.feed(b"hunt") == b""
    assert stream.feed(b"ing\n") == b"hunting\n"


def test_a_key_of_several_lines_is_found_line_by_line_but_not_by_what_all_keys_have() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----\n"
    secrets = secrets_of(values_of_file("deploy.pem", key))
    assert secrets.redact_text(f"x{key}") == "x[deploy.pem]\n"
    assert secrets.redact_text("  AQEFAASCBKcwggSjAgEAAoIB,") == "  [deploy.pem],"
    assert secrets.redact_text("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"


def test_the_password_in_an_address_is_a_value_too() -> None:
    secrets = secrets_of([("DATABASE_URL", "postgres://shop:hunter-two@db/shop")])
    assert secrets.redact_text("PGPASSWORD=hunter-two") == "PGPASSWORD=[DATABASE_URL]"


def test_values_that_are_too_short_are_named_and_not_looked_for() -> None:
    secrets = secrets_of([("PIN", "1234"), ("TOKEN", "123456"), ("NONE", "")])
    assert (secrets.redact_text("1234 123456"), secrets.short) == ("1234 [TOKEN]", ("PIN",))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=one\nexport B='t w o'\n# C=no\n", [("A", "one"), ("B", "t w o")]),
        ('A="x\\ny" # said\n', [("A", "x\\ny"), ("A", "x\ny")]),
        ("A=one # said\n", [("A", "one # said"), ("A", "one")]),
        ('\n# first\nKEY="-----BEGIN\nabc\n-----END"\nB=2\n', [("KEY", "-----BEGIN\nabc\n-----END"), ("B", "2")]),
        ("ghp_0123456789\n", [("token", "ghp_0123456789")]),
        ('{"key": "value"}', [("token", '{"key": "value"}')]),
    ],
)
def test_a_file_is_lines_of_names_and_values_or_one_value(text: str, values: list[tuple[str, str]]) -> None:
    assert list(dict.fromkeys(values_of_file("token", text))) == values


def test_of_what_agents_are_given_only_what_is_called_a_secret_is_one() -> None:
    settings = Settings(
        secrets=SecretSettings(env=("DEPLOY",), exempt=("PUBLIC_KEY",)),
        agents={"a": AgentProfile("a", env=("ANTHROPIC_API_KEY", "AWS_REGION", "PUBLIC_KEY", "MONKEY"))},
        scopes={"acme": ScopeSettings("acme", env=("ACME_TOKEN", "HTTPS_PROXY"))},
    )
    assert settings.secret_variables() == {"DEPLOY", "ANTHROPIC_API_KEY", "ACME_TOKEN"}
    assert all(map(is_telling, ("DB_PASSWORD", "NPM_AUTH", "PGPASS_WORD_SECRET", "github_pat", "SENTRY_DSN")))
