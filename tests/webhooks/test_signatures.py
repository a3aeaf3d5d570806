"""Each scheme takes what its sender's documentation says it sends, and says what that proves."""

from __future__ import annotations

import ast
import base64
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import standardwebhooks
from attrs import evolve

import inventory_sources.webhooks as package
from inventory_sources.errors import ConfigurationError, SignatureInvalid
from inventory_sources.protocols.webhook import Delivery
from inventory_sources.secrets import Secret
from inventory_sources.webhooks import (
    AllOf,
    AllowList,
    BearerToken,
    BusinessCentral,
    ClientCertificate,
    GitHub,
    HmacSignature,
    Shopify,
    Square,
    StandardWebhooks,
    Stripe,
    UnsignedTrustingUrlAlone,
    WooCommerce,
)
from tests.webhooks.senders import (
    BODY,
    NOTIFICATIONS,
    NOW,
    OTHER,
    RAW,
    SECONDS,
    SENDERS,
    TEXT,
    URL,
    WHPK,
    WHSEC,
    b64,
    delivery,
    ed25519,
    mac,
    standard,
)


def refused(scheme, one, now=NOW, match=None):
    with pytest.raises(SignatureInvalid, match=match):
        scheme.verify(one, now)


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
def test_what_was_signed_by_hand_is_taken_and_not_with_another_secret(sender):
    sender.scheme.verify(sender.delivery, NOW)
    refused(sender.other, sender.delivery)


def test_the_example_of_github():
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    one = delivery({"X-Hub-Signature-256": signature, "X-GitHub-Delivery": "72d3162e"}, b"Hello, World!")
    found = GitHub(secrets=Secret("It's a Secret to Everybody")).verify(one, NOW)
    assert (found.id, found.id_signed, found.sent_at) == ("72d3162e", False, None)


def test_the_example_of_svix():
    # https://docs.svix.com/receiving/verifying-payloads/how-manual
    headers = {
        "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "svix-timestamp": "1614265330",
        "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= "
        "v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo= v2,MzJsNDk4MzI0K2VvdSMjMTEjQEBAQDEyMzMzMzEyMwo=",
    }
    signed_at = datetime(2021, 2, 25, 15, 2, 10, tzinfo=UTC)
    scheme = StandardWebhooks(secrets=Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), prefix="svix-")
    found = scheme.verify(delivery(headers, b'{"test": 2432232314}'), signed_at)
    assert (found.id, found.id_signed, found.sent_at) == ("msg_p5jXN8AQM9LWM0D4loKWxJek", True, signed_at)


def test_the_reference_library_signs_the_same():
    signature = standardwebhooks.Webhook(WHSEC).sign("msg_2KW", NOW, BODY.decode())
    assert standard().header("webhook-signature") == signature
    StandardWebhooks(secrets=Secret(WHSEC)).verify(standard(sign=lambda content: signature), NOW)


def test_one_good_signature_among_several_is_enough_and_one_of_sixteen():
    good = standard().header("webhook-signature")
    both = StandardWebhooks(secrets=(Secret(WHSEC), Secret(WHPK)))
    for signatures in (f"v1,AAAA {good}", f"v2,x v1a,%%% {good}", f"{'v1,AAAA ' * 15}{good}"):
        both.verify(standard(sign=lambda content, text=signatures: text), NOW)
    refused(both, standard(sign=lambda content: f"{'v1,AAAA ' * 16}{good}"))
    both.verify(standard(sign=lambda content: f"v1a,{'A' * 88} {ed25519(content)}"), NOW)


def test_a_version_is_not_taken_for_another():
    refused(StandardWebhooks(secrets=Secret(WHPK)), standard())
    refused(StandardWebhooks(secrets=Secret(WHSEC)), standard(sign=ed25519))
    # The public key is no secret: nobody may sign with it as if it were one.
    public = base64.b64decode(WHPK.removeprefix("whpk_"))
    refused(StandardWebhooks(secrets=Secret(WHPK)), standard(sign=lambda content: "v1," + b64(mac(content, public))))


@pytest.mark.parametrize("message_id", ["msg.1772366400", "a b", "", "é", "x" * 257])
def test_an_id_that_could_be_split_elsewhere_is_refused(message_id):
    content = f"{message_id}.{SECONDS}.".encode() + BODY
    headers = {"webhook-id": message_id, "webhook-timestamp": SECONDS}
    refused(
        StandardWebhooks(secrets=Secret(WHSEC)),
        delivery({**headers, "webhook-signature": "v1," + b64(mac(content, RAW))}),
    )


def test_a_signed_text_cannot_be_read_with_a_longer_id():
    scheme = StandardWebhooks(secrets=Secret(WHSEC))
    signature = "v1," + b64(mac(f"msg.{SECONDS}.{SECONDS}.x".encode(), RAW))
    headers = {"webhook-timestamp": SECONDS, "webhook-signature": signature}
    scheme.verify(delivery({"webhook-id": "msg", **headers}, f"{SECONDS}.x".encode()), NOW)
    refused(scheme, delivery({"webhook-id": f"msg.{SECONDS}", **headers}, b"x"))


@pytest.mark.parametrize("name", ["standard", "ed25519", "svix", "bigcommerce", "stripe", "generic", "trailing time"])
def test_a_signed_time_may_be_five_minutes_off_both_ways(name):
    (sender,) = [one for one in SENDERS if one.name == name]
    for seconds in (-300, 0, 300):
        assert sender.scheme.verify(sender.delivery, NOW + timedelta(seconds=seconds)).sent_at == NOW
    for seconds in (-301, 301, -(10**9), 10**9):
        refused(sender.scheme, sender.delivery, NOW + timedelta(seconds=seconds), "from now")


@pytest.mark.parametrize(
    "timestamp", ["+1772366400", " 1772366400", "01772366400", "1_772_366_400", "1e400", "-1", "٣", "0"]
)
def test_a_time_that_is_not_plain_digits_is_refused_though_it_is_signed(timestamp):
    body = f"{timestamp}.".encode() + BODY
    one = delivery({"Stripe-Signature": f"t={timestamp},v1={mac(body).hex()}"})
    refused(Stripe(secrets=Secret(TEXT)), one)
    signature = "v1," + b64(mac(b"msg." + body, RAW))
    headers = {"webhook-id": "msg", "webhook-timestamp": timestamp, "webhook-signature": signature}
    refused(StandardWebhooks(secrets=Secret(WHSEC)), delivery(headers))


def test_stripe_may_send_a_signature_of_each_secret():
    content = f"{SECONDS}.".encode() + BODY
    header = f"t={SECONDS},v1={mac(content, OTHER.encode()).hex()},v1={mac(content).hex()},v0=00"
    Stripe(secrets=Secret(TEXT)).verify(delivery({"Stripe-Signature": header}), NOW)
    Stripe(secrets=Secret(OTHER)).verify(delivery({"Stripe-Signature": header}), NOW)
    refused(Stripe(secrets=Secret(TEXT)), delivery({"Stripe-Signature": f"t={SECONDS},v0={mac(content).hex()}"}))


def test_square_signs_the_url_of_the_configuration_and_not_that_of_the_request():
    elsewhere = "https://evil.example/"
    one = delivery({"x-square-hmacsha256-signature": b64(mac(elsewhere.encode() + BODY))}, url=elsewhere)
    refused(Square(secrets=Secret(TEXT), url=URL), one)


def test_shopify_s_id_is_told_as_unsigned():
    headers = {"X-Shopify-Hmac-Sha256": b64(mac(BODY)), "X-Shopify-Event-Id": "e-1", "X-Shopify-Webhook-Id": "w-1"}
    found = Shopify(secrets=Secret(TEXT)).verify(delivery(headers), NOW)
    assert (found.id, found.id_signed) == ("e-1", False)
    assert Shopify(secrets=Secret(TEXT), id_header="X-Shopify-Webhook-Id").verify(delivery(headers), NOW).id == "w-1"


def test_the_ping_of_woocommerce_is_answered_and_nothing_else_is():
    scheme = WooCommerce(secrets=Secret(TEXT))
    answer = scheme.handshake(delivery({}, b"webhook_id=17"))
    assert (answer.status, answer.body) == (200, b"")
    signed = {"X-WC-Webhook-Signature": "x"}
    for one in (
        delivery({}),
        delivery({}, b"webhook_id=17&sku=1"),
        delivery({}, b""),
        delivery(signed, b"webhook_id=1"),
    ):
        assert scheme.handshake(one) is None
    refused(scheme, delivery({}, b"webhook_id=17"))


def test_business_central_s_token_is_sent_back_as_plain_text():
    scheme = BusinessCentral(secrets=Secret(TEXT))
    url = "https://shop.example/hooks/bc?validationToken=a%2Bb%3Cscript%3E&x=1"
    answer = scheme.handshake(delivery({}, b"", url=url))
    assert (answer.status, answer.body) == (200, b"a+b<script>")
    assert dict(answer.headers) == {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?validationToken=",
        "?validationToken=a&validationToken=b",
        "?validationToken=a%0d%0ab",
        "?validationToken=%ff",
        f"?validationToken={'a' * 4097}",
        "?" + "a=1&" * 200 + "validationToken=a",
    ],
)
def test_another_url_is_no_handshake(query):
    scheme = BusinessCentral(secrets=Secret(TEXT))
    assert scheme.handshake(delivery({}, NOTIFICATIONS, url=f"https://shop.example/{query}")) is None
    assert scheme.handshake(delivery({}, NOTIFICATIONS, url=f"https://[::1/{query}")) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"value": {}}',
        b'{"value": []}',
        b'{"value": [null]}',
        b'{"value": [{"clientState": null}]}',
        b'{"value": [{"clientState": ""}]}',
        b'{"value": [{"clientState": "\\ud800"}]}',
        b'{"value": [{"resource": "items(1)"}]}',
        b'{"value": [{"clientState": "%s"}, {"clientState": "x"}]}' % TEXT.encode(),
        b'{"value": [{"clientState": "x", "clientState": "%s"}]}' % TEXT.encode(),
        b'{"value": [NaN, {"clientState": "%s"}]}' % TEXT.encode(),
        b"[" * 100_000,
        b'{"value":' * 5000,
    ],
)
def test_business_central_needs_the_secret_in_each_notification(body):
    refused(BusinessCentral(secrets=Secret(TEXT)), delivery({}, body))


@pytest.mark.parametrize(
    ("options", "header", "signature"),
    [
        ({"algorithm": "sha1"}, "X-Sign", hmac.digest(TEXT.encode(), BODY, "sha1").hex()),
        ({"encoding": "hex"}, "X-Sign", hmac.digest(TEXT.encode(), BODY, "sha256").hex().upper()),
        ({"encoding": "base64"}, "X-Sign", b64(mac(BODY))),
        ({"encoding": "base64url"}, "X-Sign", base64.urlsafe_b64encode(mac(BODY)).decode()),
        ({"encoding": "base64url"}, "X-Sign", base64.urlsafe_b64encode(mac(BODY)).decode().rstrip("=")),
        (
            {"algorithm": "sha512", "prefix": "sig "},
            "X-Sign",
            "sig " + hmac.digest(TEXT.encode(), BODY, "sha512").hex(),
        ),
        ({"signed_text": "{url}|{body}", "url": URL}, "X-Sign", mac(f"{URL}|".encode() + BODY).hex()),
    ],
)
def test_an_hmac_is_declared_as_the_sender_describes_it(options, header, signature):
    scheme = HmacSignature(secrets=Secret(TEXT), header="X-Sign", **options)
    scheme.verify(delivery({header: signature}), NOW)
    refused(scheme, delivery({header: signature[:-2]}))
    refused(scheme, delivery({header: signature}, BODY + b" "))


def test_milliseconds_are_declared():
    header = {"X-Sign": mac(f"{SECONDS}500.".encode() + BODY).hex(), "X-Time": f"{SECONDS}500"}
    options = {"header": "X-Sign", "signed_text": "{timestamp}.{body}", "timestamp_header": "X-Time"}
    found = HmacSignature(secrets=Secret(TEXT), milliseconds=True, **options).verify(delivery(header), NOW)
    assert found.sent_at == NOW + timedelta(milliseconds=500)
    refused(HmacSignature(secrets=Secret(TEXT), **options), delivery(header))


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": "md5"},
        {"encoding": "base32"},
        {"header": "X Sign"},
        {"prefix": "é"},
        {"signed_text": "{timestamp}", "timestamp_header": "X-Time"},
        {"signed_text": "{body}{body}"},
        {"signed_text": "{path}{body}"},
        {"signed_text": "{id}{body}", "id_header": "X-Id"},
        {"signed_text": "{body}{id}", "id_header": "X-Id"},
        {"signed_text": "{id}.{body}"},
        {"signed_text": "{timestamp}.{body}"},
        {"timestamp_header": "X-Time"},
        {"signed_text": "{url}{body}"},
        {"url": URL},
        {"id_header": "x-sign"},
        {"tolerance": timedelta(0)},
        {"tolerance": timedelta(days=2)},
    ],
)
def test_a_declaration_that_proves_nothing_is_refused(options):
    with pytest.raises(ConfigurationError):
        HmacSignature(**{"secrets": Secret(TEXT), "header": "X-Sign", **options})


def test_an_id_at_the_end_cannot_take_a_part_of_the_body():
    scheme = HmacSignature(secrets=Secret(TEXT), header="X-Sign", signed_text="{body}.{id}", id_header="X-Id")
    signature = mac(b"1.2.3").hex()
    assert scheme.verify(delivery({"X-Sign": signature, "X-Id": "3"}, b"1.2"), NOW).id_signed
    refused(scheme, delivery({"X-Sign": signature, "X-Id": "2.3"}, b"1"))
    refused(scheme, delivery({"X-Sign": mac(b"1.2.").hex()}, b"1.2"))


def test_a_token_is_taken_from_the_header_it_was_declared_for():
    BearerToken(secrets=Secret(TEXT)).verify(delivery({"Authorization": f"bEARER {TEXT}"}), NOW)
    BearerToken(secrets=Secret(TEXT), header="X-Token").verify(delivery({"X-Token": TEXT}), NOW)
    BearerToken(secrets=Secret(TEXT), scheme="Token").verify(delivery({"Authorization": f"Token {TEXT}"}), NOW)
    for text in (TEXT, f"Bearer  {TEXT}", f"Basic {TEXT}", "Bearer ", f"Bearer {TEXT.upper()}", f"Bearer{TEXT}x"):
        refused(BearerToken(secrets=Secret(TEXT)), delivery({"Authorization": text}))


@pytest.mark.parametrize("client", ["198.51.100.7", "::ffff:198.51.100.7", "2001:db8::7"])
def test_an_address_within_the_networks_is_taken(client):
    scheme = AllowList(networks=("198.51.100.0/24", "2001:db8::/32"))
    scheme.verify(delivery({}, client=client), NOW)


@pytest.mark.parametrize(
    "client", [None, "", "198.51.101.7", "198.51.100.7:80", "::1%1", "host", "2002:c633:6407::", "\0"]
)
def test_another_address_is_refused(client):
    refused(AllowList(networks=("198.51.100.0/24", "2001:db8::/32")), delivery({}, client=client))


def test_all_of_them_must_hold_and_a_signed_id_goes_before_another():
    scheme = AllOf(
        schemes=(
            AllowList(networks=("198.51.100.7/32",)),
            Shopify(secrets=Secret(TEXT)),
            StandardWebhooks(secrets=Secret(WHSEC)),
        )
    )
    headers = {**dict(standard().headers), "X-Shopify-Hmac-Sha256": b64(mac(BODY)), "X-Shopify-Event-Id": "e-1"}
    one = delivery(headers, client="198.51.100.7")
    found = scheme.verify(one, NOW)
    assert (found.id, found.id_signed, found.sent_at) == ("msg_2KW", True, NOW)
    refused(scheme, evolve(one, client="198.51.100.8"))
    refused(scheme, evolve(one, headers={**headers, "x-shopify-hmac-sha256": b64(mac(b"x"))}))
    refused(scheme, evolve(one, headers=[pair for pair in one.headers if pair[0] != "webhook-id"]))


def test_a_handshake_is_answered_for_callers_that_are_let_in():
    scheme = AllOf(schemes=(AllowList(networks=("198.51.100.7/32",)), BusinessCentral(secrets=Secret(TEXT))))
    one = delivery({}, b"", url="https://shop.example/?validationToken=abc", client="198.51.100.7")
    assert scheme.handshake(one).body == b"abc"
    assert scheme.handshake(evolve(one, client="198.51.100.8")).status == 401
    assert scheme.handshake(evolve(one, url="")) is None


def test_what_proves_nothing_says_so():
    found = UnsignedTrustingUrlAlone().verify(Delivery(headers={}, body=b"", received_at=NOW), NOW)
    assert (found.id, found.id_signed, found.sent_at) == (None, False, None)


@pytest.mark.parametrize(
    "make", [lambda: AllOf(schemes=()), lambda: AllowList(networks=()), lambda: ClientCertificate(subjects=())]
)
def test_an_empty_list_is_refused(make):
    with pytest.raises(ConfigurationError):
        make()


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
def test_each_scheme_compares_in_constant_time(sender, monkeypatch):
    """But those that compare no secret: a verified certificate, and Ed25519, whose key is public."""
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: compared.append((one, other)) or one == other)
    sender.scheme.verify(sender.delivery, NOW)
    assert bool(compared) == (sender.name not in ("certificate", "ed25519"))


def test_no_module_compares_a_signature_or_secret_by_an_operator():
    words = {
        "signature",
        "signatures",
        "expected",
        "given",
        "digest",
        "made",
        "state",
        "states",
        "token",
        "key",
        "keys",
    }
    places = [*Path(package.__file__).parent.glob("*.py"), Path(package.__file__).parents[1] / "_standard_webhooks.py"]
    checked = 0
    for path in places:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Compare) and any(isinstance(one, ast.Eq | ast.NotEq | ast.In) for one in node.ops):
                names = {
                    one.id for side in (node.left, *node.comparators) for one in [side] if isinstance(one, ast.Name)
                }
                checked += 1
                assert not names & (words - {"key"}), f"{path.name}:{node.lineno}"
    assert checked > 10
