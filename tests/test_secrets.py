"""A secret's text comes out of `reveal` and of nothing else."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import structlog

from inventory_sources.errors import ConfigurationError, SecretNotFound
from inventory_sources.secrets import (
    CallableSecrets,
    EnvironmentSecrets,
    FileSecrets,
    Secret,
    SecretResolvers,
    default_secrets,
)

TEXT = "hunter2-canary"


@attrs.frozen
class Holder:
    token: Secret


def secrets() -> list[Secret]:
    resolver = EnvironmentSecrets({"ERP_TOKEN": TEXT})
    return [Secret(TEXT), Secret.reference("env:ERP_TOKEN", resolver)]


def traceback_with_locals(secret: Secret) -> str:
    held = {"headers": [secret]}
    try:
        held["missing"]
    except KeyError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def attributes(secret: Secret) -> str:
    seen = [repr(getattr(secret, name, None)) for name in dir(secret)]
    return f"{dir(secret)} {seen} {getattr(secret, '__dict__', {})!r}"


WAYS: dict[str, Callable[[Secret], object]] = {
    "str": str,
    "repr": repr,
    "ascii": ascii,
    "f-string": lambda secret: f"{secret}{secret!s}{secret!r}{secret:>60}",
    "format": lambda secret: "{:s}|{!r}".format(secret, secret),  # noqa: UP032
    "percent": lambda secret: "%s %r %a" % (secret, secret, secret),  # noqa: UP031
    "in containers": lambda secret: f"{[secret]}{ {'a': (secret,)} }",
    "pprint": lambda secret: pprint.pformat({"a": [secret] * 20}),
    "attrs": lambda secret: f"{Holder(secret)!r} {attrs.asdict(Holder(secret))!r} {attrs.astuple(Holder(secret))!r}",
    "json default": lambda secret: json.dumps(secret, default=str),
    "traceback": traceback_with_locals,
    "attributes": attributes,
    "copies": lambda secret: f"{copy.copy(secret)}{copy.deepcopy(secret)!r}",
    "structlog": lambda secret: structlog.processors.JSONRenderer(default=repr)(None, "info", {"token": secret}),
    "logging": lambda secret: logging.LogRecord("n", 20, "p", 1, "%s %r", (secret, secret), None).getMessage(),
}


@pytest.mark.parametrize("secret", secrets(), ids=["text", "reference"])
@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_showing_gives_the_text(way: str, secret: Secret) -> None:
    assert TEXT not in str(WAYS[way](secret))


@pytest.mark.parametrize("secret", secrets(), ids=["text", "reference"])
@pytest.mark.parametrize(
    "write", [pickle.dumps, lambda secret: pickle.dumps(Holder(secret)), json.dumps, bytes, iter, len, list]
)
def test_it_cannot_be_written_out(write: Callable[[Secret], object], secret: Secret) -> None:
    with pytest.raises((TypeError, pickle.PicklingError)):
        write(secret)


@pytest.mark.parametrize("secret", secrets(), ids=["text", "reference"])
def test_reveal_gives_the_text_also_of_a_copy(secret: Secret) -> None:
    assert secret.reveal() == TEXT
    assert copy.deepcopy(Holder(secret)).token.reveal() == TEXT
    assert copy.copy(secret).reveal() == TEXT


def test_what_is_stored_is_the_reference_alone() -> None:
    text, reference = secrets()
    assert (text.stored_as, reference.stored_as) == (None, "env:ERP_TOKEN")


def test_a_rotated_secret_is_seen_at_the_next_use() -> None:
    environment = {"ERP_TOKEN": "old"}
    secret = Secret.reference("env:ERP_TOKEN", EnvironmentSecrets(environment))
    environment["ERP_TOKEN"] = "new"
    assert secret.reveal() == "new"


def test_equal_texts_are_equal_and_equal_references_are() -> None:
    assert Secret("näme") == Secret("näme") != Secret("other")
    assert Secret.reference("env:A") == Secret.reference("env:A") != Secret.reference("env:B")
    assert Secret(TEXT) != Secret.reference("env:ERP_TOKEN", EnvironmentSecrets({"ERP_TOKEN": TEXT}))
    assert Secret(TEXT) != TEXT


def test_it_cannot_be_a_key_that_a_crash_report_lists() -> None:
    with pytest.raises(TypeError):
        hash(Secret(TEXT))


@pytest.mark.parametrize("text", ["", None, b"bytes", 7])
def test_only_a_text_that_is_not_empty_can_be_one(text: object) -> None:
    with pytest.raises(ConfigurationError):
        Secret(text)


@pytest.mark.parametrize("environment", [{}, {"ERP_TOKEN": ""}])
def test_a_missing_variable_is_an_error_that_names_it(environment: dict[str, str]) -> None:
    with pytest.raises(SecretNotFound, match="ERP_TOKEN"):
        Secret.reference("env:ERP_TOKEN", EnvironmentSecrets(environment)).reveal()


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"s3cret\n", "s3cret"), (b"s3cret\r\n", "s3cret"), (b"s3cret\n\n", "s3cret\n"), (b" s3cret ", " s3cret ")],
)
def test_a_file_loses_one_line_end_and_nothing_else(tmp_path: Path, content: bytes, text: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    assert Secret.reference(f"file:{file}").reveal() == text


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_file_without_a_text_is_an_error_without_its_content(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SecretNotFound, match="token") as raised:
        Secret.reference(f"file:{file}").reveal()
    assert "xff" not in repr(raised.value)


def test_a_root_keeps_references_inside(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("canary")
    root = tmp_path / "root"
    root.mkdir()
    (root / "inside").write_text("fine")
    (root / "link").symlink_to(tmp_path / "outside")
    files = FileSecrets(root)
    assert files.resolve("file:inside") == "fine"
    for reference in ("file:../outside", f"file:{tmp_path / 'outside'}", "file:link"):
        with pytest.raises(SecretNotFound) as raised:
            files.resolve(reference)
        assert "canary" not in str(raised.value)


def test_each_scheme_goes_to_its_resolver() -> None:
    vault = CallableSecrets("vault", {"erp/token": TEXT}.get)
    resolvers = SecretResolvers(EnvironmentSecrets({"A": "a"}), vault)
    assert resolvers.resolve("env:A") == "a"
    assert resolvers.resolve("vault:erp/token") == TEXT
    for reference in ("vault:other", "file:/etc/hostname", "A", "", ":A"):
        with pytest.raises(SecretNotFound):
            resolvers.resolve(reference)


def test_a_text_given_in_place_of_a_reference_is_not_repeated() -> None:
    with pytest.raises(SecretNotFound) as raised:
        default_secrets().resolve(TEXT)
    assert TEXT not in f"{raised.value}{raised.value!r}"


def test_another_text_is_kept_by_a_resolver_that_can_store() -> None:
    texts = {"erp": "first"}

    class Vault(CallableSecrets):
        def store(self, reference: str, text: str) -> None:
            texts[reference.removeprefix("vault:")] = text

    vault = Vault("vault", texts.get)
    for resolver in (vault, SecretResolvers(EnvironmentSecrets({}), vault)):
        secret = Secret.reference("vault:erp", resolver)
        assert secret.replace(f"{secret.reveal()}+")
        assert secret.reveal() == texts["erp"]
    assert texts == {"erp": "first++"}


def test_other_secrets_keep_their_text() -> None:
    for secret in (Secret("first"), Secret.reference("env:ERP", EnvironmentSecrets({"ERP": "first"}))):
        assert not secret.replace("second")
        assert secret.reveal() == "first"
