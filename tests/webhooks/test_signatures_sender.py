"""The sender's part: an endpoint under test, and our own notifications."""

from __future__ import annotations

import base64
import ssl

import pytest
import standardwebhooks
import trustme
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inventory_sources.errors import ConfigurationError, NotifyError, SignatureInvalid
from inventory_sources.notifiers import HttpNotifier
from inventory_sources.protocols.webhook import Delivery
from inventory_sources.secrets import Secret
from inventory_sources.testing import ManualClock, sample_notification
from inventory_sources.testing.servers import Response, ScriptedHttpServer
from inventory_sources.testing.webhooks import send, signed
from inventory_sources.webhooks import BusinessCentral, StandardWebhooks
from tests.webhooks.senders import BODY, NOTIFICATIONS, NOW, PRIVATE, RAW, SENDERS, TEXT, URL, WHPK, WHSEC

LOOPBACK = ("127.0.0.0/8",)
WHSK = "whsk_" + base64.b64encode(PRIVATE.private_bytes_raw()).decode()
WHSK_LONG = "whsk_" + base64.b64encode(PRIVATE.private_bytes_raw() + PRIVATE.public_key().public_bytes_raw()).decode()


@pytest.mark.parametrize(
    "sender",
    [one for one in SENDERS if one.name not in ("ed25519", "business central")],
    ids=lambda sender: sender.name,
)
def test_a_delivery_is_signed_as_the_sender_would(sender):
    """Byte for byte what was made by hand, wherever the sender signs no more than one way."""
    told = dict(sender.delivery.headers)
    ids = [told[name] for name in ("webhook-id", "svix-id", "x-id", "x-shopify-event-id") if name in told]
    made = signed(sender.scheme, BODY, at=NOW, id=ids[0] if ids else "m-1", url=URL)
    sender.scheme.verify(made, NOW)
    with pytest.raises(SignatureInvalid):
        sender.other.verify(made, NOW)
    for name, text in sender.delivery.headers:
        assert made.header(name) == text.removesuffix(",v0=6ffbb59b")


def test_a_private_key_signs_what_its_public_key_verifies():
    for key in (WHSK, WHSK_LONG):
        made = signed(StandardWebhooks(secrets=Secret(key)), BODY, at=NOW, id="msg_2KW")
        StandardWebhooks(secrets=Secret(WHPK)).verify(made, NOW)
    with pytest.raises(ConfigurationError, match="public key cannot sign"):
        signed(StandardWebhooks(secrets=Secret(WHPK)), BODY, at=NOW)


def test_business_central_s_notifications_carry_the_secret():
    scheme = BusinessCentral(secrets=Secret(TEXT))
    scheme.verify(signed(scheme, NOTIFICATIONS.replace(TEXT.encode(), b"x"), at=NOW), NOW)


def test_a_scheme_of_one_s_own_must_be_able_to_sign():
    class Receiving:
        def verify(self, delivery, now):
            raise SignatureInvalid("never")

        def handshake(self, delivery):
            return None

    with pytest.raises(ConfigurationError, match="Receiving"):
        signed(Receiving(), BODY, at=NOW)


def test_a_delivery_travels_over_http_as_it_was_signed():
    scheme = StandardWebhooks(secrets=Secret(WHSEC))
    with ScriptedHttpServer([Response(b"taken", status=202, headers={"X-Kept": "1"})]) as server:
        answer = send(f"{server.url}hooks/erp?a=1", signed(scheme, BODY, at=NOW, id="msg_1"))
    assert (answer.status, answer.body, dict(answer.headers)["x-kept"]) == (202, b"taken", "1")
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/hooks/erp?a=1")
    arrived = Delivery(headers=request.headers, body=request.body, received_at=NOW)
    assert scheme.verify(arrived, NOW).id == "msg_1"


def test_a_delivery_travels_over_verified_tls():
    authority = trustme.CA()
    server_tls, client_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    authority.configure_trust(client_tls)
    made = signed(StandardWebhooks(secrets=Secret(WHSEC)), BODY, at=NOW)
    with ScriptedHttpServer([Response(), Response()], tls=server_tls) as server:
        assert send(server.url, made, tls=client_tls).status == 200
        with pytest.raises(OSError, match="certificate"):
            send(server.url, made)


def notified(**options):
    with ScriptedHttpServer([Response(), Response()]) as server:
        notifier = HttpNotifier(server.url, allow_private=LOOPBACK, clock=ManualClock(NOW), **options)
        notifier.notify(sample_notification())
        notifier.notify(sample_notification())
    return server.requests


def test_a_notification_is_signed_under_its_constant_id():
    first, second = notified(secret=Secret(WHSEC))
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "n-1"
    expected = standardwebhooks.Webhook(RAW).sign("n-1", NOW, first.body.decode())
    assert first.headers["webhook-signature"] == expected
    StandardWebhooks(secrets=Secret(WHSEC)).verify(
        Delivery(headers=first.headers, body=first.body, received_at=NOW), NOW
    )


def test_a_notification_may_be_signed_by_a_private_key():
    request, _ = notified(secret=Secret(WHSK))
    version, _, signature = request.headers["webhook-signature"].partition(",")
    content = f"n-1.{int(NOW.timestamp())}.".encode() + request.body
    public = Ed25519PrivateKey.from_private_bytes(PRIVATE.private_bytes_raw()).public_key()
    public.verify(base64.b64decode(signature), content)
    assert version == "v1a"


def test_without_a_secret_nothing_is_signed():
    request, _ = notified()
    assert not [name for name in request.headers if name.startswith("webhook-")]


@pytest.mark.parametrize("text", ["whsec_AAAA", "whsec_%", WHPK])
def test_a_secret_that_cannot_sign_notifications_is_refused(text, monkeypatch):
    with pytest.raises(ConfigurationError):
        HttpNotifier("https://h.example/", secret=Secret(text))
    monkeypatch.setenv("HOOK", text)
    with ScriptedHttpServer([Response()]) as server, pytest.raises(NotifyError) as raised:
        HttpNotifier(server.url, allow_private=LOOPBACK, secret=Secret.reference("env:HOOK")).notify(
            sample_notification()
        )
    assert server.requests == ()
    assert text[6:] not in str(raised.value) or text == "whsec_%"


def test_an_id_that_would_make_the_signed_text_ambiguous_is_not_sent():
    with ScriptedHttpServer([Response()]) as server, pytest.raises(NotifyError, match="full stop"):
        HttpNotifier(server.url, allow_private=LOOPBACK, secret=Secret(WHSEC)).notify(
            evolve(sample_notification(), id="n.1")
        )
    assert server.requests == ()
