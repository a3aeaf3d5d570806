"""Webhooks: a connector that is pushed to, and the schemes by which senders sign."""

from inventory_sources.webhooks._event_facts import EventFacts
from inventory_sources.webhooks._webhook import TargetedConnector, Webhook

__all__ = ["EventFacts", "TargetedConnector", "Webhook"]
