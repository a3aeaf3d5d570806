"""Secrets of schemes: long enough, several during a rotation, found when they are used, and stored by reference."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta

import pytest
from attrs import frozen

from inventory_sources._documents import plain_document
from inventory_sources.errors import ConfigurationError, NotPortable, SecretNotFound, SignatureInvalid
from inventory_sources.protocols.webhook import SignatureScheme
from inventory_sources.registry import Registry
from inventory_sources.secrets import CallableSecrets, EnvironmentSecrets, Secret, SecretResolvers
from inventory_sources.webhooks import (
    AllOf,
    AllowList,
    BearerToken,
    BusinessCentral,
    GitHub,
    HmacSignature,
    Shopify,
    Square,
    StandardWebhooks,
    Stripe,
    UnsignedTrustingUrlAlone,
    WebhookSecret,
)
from tests.webhooks.senders import BODY, NOW, OTHER, TEXT, URL, WHSEC, b64, delivery, mac, standard

HOUR = timedelta(hours=1)


def by(text: str):
    return delivery({"X-Shopify-Hmac-Sha256": b64(mac(BODY, text.encode()))})


def takes(scheme, text: str, now: datetime) -> bool:
    try:
        scheme.verify(by(text), now)
    except SignatureInvalid:
        return False
    return True


def test_during_a_rotation_both_secrets_count_and_then_the_new_one_alone():
    old, new = WebhookSecret(Secret(OTHER), not_after=NOW + HOUR), WebhookSecret(Secret(TEXT), not_before=NOW)
    scheme = Shopify(secrets=(old, new))
    seen = [
        (takes(scheme, OTHER, now), takes(scheme, TEXT, now)) for now in (NOW - HOUR, NOW, NOW + HOUR, NOW + 2 * HOUR)
    ]
    assert seen == [(True, False), (True, True), (True, True), (False, True)]


def test_without_a_secret_that_counts_everything_is_refused():
    scheme = Shopify(secrets=WebhookSecret(Secret(TEXT), not_after=NOW - HOUR))
    with pytest.raises(SignatureInvalid, match="none of the secrets counts"):
        scheme.verify(by(TEXT), NOW)


@pytest.mark.parametrize("signer", [TEXT, OTHER, "x" * 32])
def test_every_secret_that_counts_is_compared_whichever_it_is(signer, monkeypatch):
    import hmac

    compared = []
    plain = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: compared.append(one) or plain(one, other))
    takes(Shopify(secrets=(Secret(TEXT), Secret(OTHER), Secret("y" * 32))), signer, NOW)
    assert len(compared) == 3


def test_a_secret_is_long_enough_or_declared_to_be_short():
    short = "s" * 23
    for make in (
        lambda one: Shopify(secrets=one),
        lambda one: GitHub(secrets=one),
        lambda one: Stripe(secrets=one),
        lambda one: BearerToken(secrets=one),
        lambda one: BusinessCentral(secrets=one),
        lambda one: Square(secrets=one, url=URL),
        lambda one: HmacSignature(secrets=one, header="X-Sign"),
    ):
        with pytest.raises(ConfigurationError, match="23 bytes is too short") as raised:
            make(Secret(short))
        assert short not in str(raised.value)
        make(WebhookSecret(Secret(short), short=True))
        make(Secret(f"{short}!"))


@pytest.mark.parametrize(
    "text",
    [
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_",
        "whsec_====",
        "whsec_%%%",
        "whsec_é",
        "whpk_" + base64.b64encode(bytes(31)).decode(),
        "whsk_" + base64.b64encode(bytes(33)).decode(),
        "whsk_" + base64.b64encode(bytes(64)).decode(),
        "no base64!",
        "\ud800" * 30,
    ],
)
def test_a_standard_secret_is_judged_by_its_decoded_bytes(text):
    with pytest.raises(ConfigurationError) as raised:
        StandardWebhooks(secrets=Secret(text))
    assert (text.partition("_")[2] or text) not in str(raised.value).replace("whsec_ key", "")


def test_a_standard_secret_may_lack_its_padding_and_prefix():
    for text in (WHSEC, WHSEC.rstrip("="), WHSEC.removeprefix("whsec_")):
        StandardWebhooks(secrets=Secret(text)).verify(standard(), NOW)


@pytest.mark.parametrize("secrets", [(), [], (WebhookSecret(Secret(TEXT)), "plain text")])
def test_what_is_no_secret_is_refused(secrets):
    with pytest.raises((ConfigurationError, AttributeError)):
        Shopify(secrets=secrets)


def test_the_times_of_a_secret_have_a_zone_and_an_order():
    with pytest.raises(ConfigurationError, match="time zone"):
        WebhookSecret(Secret(TEXT), not_before=NOW.replace(tzinfo=None))
    with pytest.raises(ConfigurationError, match="never counts"):
        WebhookSecret(Secret(TEXT), not_before=NOW, not_after=NOW - HOUR)


@pytest.mark.parametrize("text", ["", "short", "\ud800" * 30])
def test_a_reference_is_judged_when_it_is_used(text):
    environment = {"HOOK": text}
    secret = Secret.reference("env:HOOK", SecretResolvers(EnvironmentSecrets(environment)))
    scheme = Shopify(secrets=secret)
    with pytest.raises(SecretNotFound, match="no secret can be used"):
        scheme.verify(by(TEXT), NOW)
    environment["HOOK"] = TEXT
    assert takes(scheme, TEXT, NOW)


def test_a_vault_that_fails_refuses_without_its_message_and_other_secrets_go_on_counting():
    def lookup(name):
        raise RuntimeError(f"hunter2 {name}")

    broken = Secret.reference("vault:HOOK", SecretResolvers(CallableSecrets("vault", lookup)))
    with pytest.raises(SecretNotFound, match="RuntimeError") as raised:
        Shopify(secrets=broken).verify(by(TEXT), NOW)
    assert "hunter2" not in str(raised.value)
    assert takes(Shopify(secrets=(broken, Secret(TEXT))), TEXT, NOW)


def test_no_scheme_shows_its_secret():
    for scheme in (
        Shopify(secrets=Secret(TEXT)),
        StandardWebhooks(secrets=Secret(WHSEC)),
        Stripe(secrets=Secret(TEXT)),
    ):
        assert TEXT not in repr(scheme)
        assert WHSEC[6:20] not in repr(scheme)


@frozen
class Holder:
    signature: SignatureScheme


REFERENCE = Secret.reference("env:HOOK")
ROTATED = WebhookSecret(REFERENCE, not_before=NOW, not_after=NOW + HOUR, short=True)
STORED = [
    StandardWebhooks(secrets=(REFERENCE, ROTATED), prefix="svix-", tolerance=timedelta(minutes=1)),
    HmacSignature(
        secrets=REFERENCE,
        header="X-Sign",
        signed_text="{url}.{timestamp}.{body}",
        timestamp_header="X-Time",
        url=URL,
        algorithm="sha512",
    ),
    Square(secrets=REFERENCE, url=URL),
    BusinessCentral(secrets=REFERENCE),
    UnsignedTrustingUrlAlone(),
    AllOf(schemes=(AllowList(networks=("198.51.100.0/24",)), AllOf(schemes=(Shopify(secrets=ROTATED),)))),
]


@pytest.mark.parametrize("scheme", STORED, ids=lambda scheme: type(scheme).__name__)
def test_a_scheme_is_stored_by_name_and_built_again(scheme):
    registry = Registry()
    document = json.loads(json.dumps(plain_document(Holder(scheme), registry._converter)))
    assert registry._structure(document, Holder, "holder") == Holder(scheme)
    assert "secrets" not in document["signature"]["options"] or "env:HOOK" in json.dumps(document)


def test_a_secret_held_as_text_is_not_stored():
    with pytest.raises(NotPortable):
        plain_document(Holder(Shopify(secrets=Secret(TEXT))), Registry()._converter)


def test_a_stored_scheme_with_an_unknown_option_is_refused():
    document = {"signature": {"name": "shopify", "options": {"secrets": [{"secret": "env:HOOK"}], "tolerance": 5}}}
    with pytest.raises(ConfigurationError, match="tolerance"):
        Registry()._structure(document, Holder, "holder")
