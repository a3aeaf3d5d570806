"""Damaged and forged deliveries: none is taken, and none makes a scheme fail in another way."""

from __future__ import annotations

import random
import re
from collections import Counter
from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from inventory_sources._json import parse
from inventory_sources.errors import SignatureInvalid
from inventory_sources.protocols.webhook import Delivery
from tests.webhooks.senders import NOW, SECONDS, SENDERS, TEXT, Sender, value

DELIVERIES = 100_000
SEED = 20260301
JUNK = [
    "",
    " ",
    "\0",
    "\n",
    "é",
    "\ud800",
    "٣",
    "\uff11\uff17\uff17\uff12\uff13\uff16\uff16\uff14\uff10\uff10",
    "+1772366400",
    " 1772366400",
    "1772366400 ",
    "1_772_366_400",
    "-1",
    "1e400",
    "9" * 16,
    "9" * 5000,
    "01772366400",
    "1772366400.0",
    "NaN",
    "v1,",
    "v1a," + "A" * 88,
    "v1," + "=" * 44,
    "sha256=",
    "t=,v1=",
    "t=1772366400,t=1772366400,v1=",
    "Bearer ",
    "{}",
    "::1%eth0",
]
HUGE = ["v1," * 33_000, " ".join(["v1,AAAA"] * 10_000), "t=1772366400," + "v1=00," * 16_000, "A" * 100_000]


def in_time(one: Delivery, name: str | None, now) -> bool:
    (text,) = value(one, name)
    return text.isascii() and text.isdecimal() and abs(int(text) - now.timestamp()) <= 300


def stripe(one: Delivery) -> object:
    (header,) = value(one, "stripe-signature")
    return one.body, re.findall(r"(?:^|,)t=([^,]*)", header)


def states(one: Delivery) -> bool:
    entries = parse(one.body.decode())["value"]
    return bool(entries) and all(entry["clientState"] == TEXT for entry in entries)


def proven(sender: Sender, one: Delivery, now) -> bool:
    """Whether all that the sender signed, or had to tell, is as it was."""
    if sender.name == "business central":
        return states(one)
    if sender.name == "stripe":
        return stripe(one) == stripe(sender.delivery) and abs(int(SECONDS) - now.timestamp()) <= 300
    if sender.name == "bearer":
        (token,) = value(one, "authorization")
        return token.lower().startswith("bearer ") and token[7:] == TEXT
    if sender.name == "all of" and not re.fullmatch(r"(::ffff:)?198\.51\.100\.\d{1,3}", one.client or ""):
        return False
    timely = sender.timestamp is None or in_time(one, sender.timestamp, now)
    return timely and sender.facts(one) == sender.facts(sender.delivery)


def cut(dice: random.Random, raw: bytes) -> bytes:
    place = dice.randrange(len(raw) + 1)
    other = dice.randrange(len(raw) + 1)
    choice = dice.randrange(6)
    if choice == 0 and raw:
        place %= len(raw)
        return raw[:place] + bytes([raw[place] ^ 1 << dice.randrange(8)]) + raw[place + 1 :]
    if choice == 1:
        return raw[:place]
    if choice == 2:
        return raw[place:]
    if choice == 3:
        return raw[:place] + bytes([dice.randrange(256)]) + raw[place:]
    if choice == 4:
        return raw[:place] + raw[other:]
    return raw + SECONDS.encode()[: dice.randrange(11)]


def damaged(dice: random.Random, text: str) -> str:
    choice = dice.randrange(60)
    if choice == 0:
        return dice.choice(HUGE)
    if choice < 10:
        return dice.choice(JUNK)
    if choice < 15:
        return text.swapcase()
    if choice < 20:
        return f"{text}{dice.choice([' ', ',', '='])}{text}"
    if choice < 24:
        return dice.choice(JUNK) + text
    return cut(dice, text.encode("utf-8", "surrogatepass")).decode("latin-1")


def header_mutated(dice: random.Random, one: Delivery) -> Delivery:
    headers = list(one.headers)
    place = dice.randrange(len(headers))
    name, text = headers[place]
    choice = dice.randrange(8)
    if choice == 0:
        del headers[place]
    elif choice == 1:
        headers.insert(place, (name, dice.choice([text, damaged(dice, text)])))
    elif choice == 2:
        other = dice.randrange(len(headers))
        headers[place], headers[other] = (name, headers[other][1]), (headers[other][0], text)
    elif choice == 3:
        headers[place] = (name.upper(), text)
    else:
        headers[place] = (name, damaged(dice, text))
    return evolve(one, headers=headers)


def shifted(dice: random.Random, one: Delivery) -> Delivery:
    """Bytes that move over the border of two signed parts, which leaves what is signed as it was."""
    headers = list(one.headers)
    place, count = dice.randrange(len(headers)), dice.randrange(1, 16)
    name, text = headers[place]
    choice = dice.randrange(4)
    if choice == 0:
        headers[place] = (name, text + one.body[:count].decode("latin-1"))
        return evolve(one, headers=headers, body=one.body[count:])
    if choice == 1:
        headers[place] = (name, one.body[-count:].decode("latin-1") + text)
        return evolve(one, headers=headers, body=one.body[:-count])
    if choice == 2:
        headers[place] = (name, text[:-count])
        return evolve(one, headers=headers, body=text[-count:].encode("utf-8", "surrogatepass") + one.body)
    headers[place] = (name, text[count:])
    return evolve(one, headers=headers, body=one.body + text[:count].encode("utf-8", "surrogatepass"))


def mutated(dice: random.Random, one: Delivery) -> Delivery:
    choice = dice.randrange(10)
    if choice < 5:
        return header_mutated(dice, one)
    if choice == 5:
        return shifted(dice, one)
    if choice == 6:
        return evolve(one, url=dice.choice(["", "https://[::1", "https://evil.example/?validationToken=a", "\0"]))
    if choice == 7:
        places = [None, "", "203.0.113.9", "::ffff:198.51.100.9", "198.51.100.300", "198.51.100.1", "x" * 1000, "\0"]
        subjects = [None, "", "CN=wms", "CN=wms ", "cn=wms", "\ud800"]
        return evolve(one, client=dice.choice(places), certificate=dice.choice(subjects))
    if choice == 8:
        return evolve(one, method=dice.choice(["GET", "PUT", "post", "\ud800", ""]))
    return evolve(one, body=cut(dice, one.body))


def fuzzed(sender: Sender, dice: random.Random, seen: Counter[str]) -> None:
    one = sender.delivery
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        one = mutated(dice, one) if one.headers and one.body else sender.delivery
    now = NOW + timedelta(seconds=dice.choice([0, 0, 0, 0, -300, 300, -301, 301, 10**9]))
    scheme = sender.scheme if dice.randrange(8) else sender.other
    try:
        scheme.verify(one, now)
    except SignatureInvalid:
        seen["refused"] += 1
        return
    assert scheme is sender.scheme, (sender.name, "taken with another secret", one.headers, one.body)
    assert proven(sender, one, now), (sender.name, one.headers, one.body, one.client, now)
    seen["taken"] += 1


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
def test_a_mutated_delivery_is_refused_unless_all_that_was_signed_is_as_it_was(sender):
    dice, seen = random.Random(f"{SEED} {sender.name}"), Counter[str]()
    count = -(-DELIVERIES // len(SENDERS))
    for _ in range(count):
        fuzzed(sender, dice, seen)
    assert seen["refused"] + seen["taken"] == count
    # Mutations of what nobody signed are taken, so that this test does not pass by refusing everything.
    assert seen["taken"] > count / 50
    assert seen["refused"] > count / 50


ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=80) | st.sampled_from(JUNK)


@given(
    place=st.integers(0, len(SENDERS) - 1),
    body=st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda it: repr(it).encode("utf-8", "replace")),
    texts=st.lists(ANY_TEXT, min_size=4, max_size=4),
    url=ANY_TEXT,
    client=st.none() | ANY_TEXT,
)
def test_any_headers_and_body_are_refused_without_another_error(place, body, texts, url, client):
    sender = SENDERS[place]
    headers = [(name, text) for (name, _), text in zip(sender.delivery.headers, texts, strict=False)]
    one = evolve(sender.delivery, headers=headers, body=body, url=url, client=client, certificate=client)
    sender.scheme.handshake(one)
    with pytest.raises(SignatureInvalid):
        sender.scheme.verify(one, NOW)


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
@pytest.mark.parametrize("junk", [*JUNK, *HUGE], ids=lambda junk: ascii(junk[:12]))
def test_junk_in_the_header_that_proves_is_refused(sender, junk):
    if len(sender.delivery.headers) == 1:
        junk_in = evolve(sender.delivery, body=junk.encode("utf-8", "surrogatepass"), certificate=junk)
    else:
        name = (
            sender.delivery.headers[-1][0]
            if sender.name not in ("shopify", "generic")
            else sender.delivery.headers[1][0]
        )
        others = [pair for pair in sender.delivery.headers if pair[0] != name]
        junk_in = evolve(sender.delivery, headers=[*others, (name, junk)])
    with pytest.raises(SignatureInvalid):
        sender.scheme.verify(junk_in, NOW)
