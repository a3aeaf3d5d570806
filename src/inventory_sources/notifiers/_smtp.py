"""Notifications by mail, over SMTP (RFC 5321) with verified TLS."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Iterable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import Enum

from attrs import field, frozen

from inventory_sources.errors import ConfigurationError, NotifyError
from inventory_sources.protocols.notifier import Notification
from inventory_sources.secrets import Secret

__all__ = ["MailSecurity", "SmtpNotifier"]

_LONGEST_SUBJECT = 200


class MailSecurity(Enum):
    """How the connection to the relay is protected.

    ``STARTTLS`` begins in plain text and refuses to go on without TLS, ``TLS`` begins with it, ``NONE`` is for a relay
    on the same machine and takes no password.
    """

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


def _recipients(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


@frozen
class SmtpNotifier:
    """Sends one mail a notification, in plain text, with a Message-ID that is the same for each repetition.

    :param host: the relay, which is the operator's own and may be a private address.
    :param sender: a plain address such as ``stock@example.com``.
    :param recipients: one plain address or several.
    :param port: 587 for STARTTLS, 465 for TLS and 25 without, unless given.
    :param timeout: seconds that each step of the conversation may take.
    :param tls: verifies the relay's certificate; the system's authorities unless given.
    :raises ConfigurationError: for addresses that are none, or a password that would travel in plain text.
    """

    host: str
    sender: str
    recipients: tuple[str, ...] = field(converter=_recipients)
    port: int | None = None
    security: MailSecurity = field(default=MailSecurity.STARTTLS, converter=MailSecurity)
    username: str | None = None
    password: Secret | None = None
    timeout: float = 20.0
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.recipients:
            raise ConfigurationError("mail notifications need at least one recipient")
        for address in (self.sender, *self.recipients):
            _refuse_odd_address(address)
        if (self.username is None) is not (self.password is None):
            raise ConfigurationError("mail notifications need both a user name and a password, or neither")
        if self.password is not None and self.security is MailSecurity.NONE:
            raise ConfigurationError("a mail relay's password is only sent over TLS; use starttls or tls")

    def notify(self, notification: Notification) -> None:
        """Returns when the relay has taken the mail for every recipient.

        :raises NotifyError: when it has not; a relay that took it for some gives those a repetition later.
        """
        message = self._message(notification)
        try:
            with self._connect() as relay:
                self._sign_in(relay)
                refused = relay.send_message(message, self.sender, self.recipients)
        except (OSError, ValueError, smtplib.SMTPException) as error:
            raise NotifyError(f"the mail relay {self.host} did not take the mail: {_reason(error)}") from None
        if refused:
            raise NotifyError(
                f"the mail relay {self.host} refused {len(refused)} of {len(self.recipients)} recipients",
                guidance="Correct the recipients; until then the others get the mail again at each attempt.",
            )

    def _connect(self) -> smtplib.SMTP:
        context = self.tls or ssl.create_default_context()
        if self.security is MailSecurity.TLS:
            return smtplib.SMTP_SSL(self.host, self.port or 465, timeout=self.timeout, context=context)
        usual = 587 if self.security is MailSecurity.STARTTLS else 25
        relay = smtplib.SMTP(self.host, self.port or usual, timeout=self.timeout)
        if self.security is MailSecurity.STARTTLS:
            try:
                relay.starttls(context=context)
            except BaseException:
                relay.close()
                raise
        return relay

    def _sign_in(self, relay: smtplib.SMTP) -> None:
        if self.username is not None and self.password is not None:
            relay.login(self.username, self.password.reveal())

    def _message(self, notification: Notification) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["Subject"] = _one_line(f"[{notification.source}] {notification.kind.value}: {notification.summary}")
        message["From"] = self.sender
        message["To"] = ", ".join(self.recipients)
        message["Date"] = format_datetime(notification.at)
        message["Message-ID"] = f"<{_digest(notification.id)}@{self.sender.rpartition('@')[2]}>"
        # RFC 3834: nobody's absence note answers a machine.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_text(notification), cte="quoted-printable")
        return message


def _refuse_odd_address(address: str) -> None:
    name, at, domain = address.partition("@")
    odd = not address.isascii() or not address.isprintable() or set(address) & set(' ,;:<>()[]"\\')
    if odd or not at or not name or not domain or "@" in domain:
        raise ConfigurationError(f"{address!r} is not a plain mail address such as stock@example.com")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _one_line(text: str) -> str:
    """A header's value: a line break from a file name or message would begin another header."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(printable.split())[:_LONGEST_SUBJECT]


def _text(notification: Notification) -> str:
    failure = notification.failure
    told = (failure.message, f"What to do: {failure.guidance}", f"Code: {failure.code}") if failure else ()
    lines = (
        notification.summary,
        "",
        *told,
        f"Source: {notification.source}",
        f"At: {notification.at.isoformat()}",
        f"Run: {notification.run_id or '-'}",
        f"Incident: {notification.incident}",
        f"Notification: {notification.id}",
    )
    # A lone surrogate, which JSON can bring, has no bytes.
    return ("\n".join(lines) + "\n").encode("utf-8", "replace").decode("utf-8")


def _reason(error: Exception) -> str:
    """The safe parts of a foreign error: a relay's answer may repeat what it was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "it does not offer what was asked for (STARTTLS or sign-in)"
    code = getattr(error, "smtp_code", None)
    return f"{type(error).__name__}, code {code}" if code else type(error).__name__
