"""Notifiers: a log, a function, an HTTP endpoint, a mail relay.

Each sends one notification and raises :class:`~inventory_sources.errors.NotifyError` when it was not handed over; the
outbox tries again. All carry the notification's constant id, by which a receiver drops a repetition.
"""

from __future__ import annotations

from inventory_sources.notifiers._callable import CallableNotifier
from inventory_sources.notifiers._http import HttpNotifier
from inventory_sources.notifiers._log import LogNotifier
from inventory_sources.notifiers._smtp import MailSecurity, SmtpNotifier

__all__ = ["CallableNotifier", "HttpNotifier", "LogNotifier", "MailSecurity", "SmtpNotifier"]
