"""The one tree of errors.

Every error names a stable ``code``, the ``phase`` it belongs to, how a sync recovers from it and what a person can do::

    InventorySourcesError
    ├── ConfigurationError          something declared is wrong; nothing was started
    │   ├── MissingExtra            an optional dependency is not installed
    │   ├── UnknownPart             a registry name that nobody registered
    │   ├── NotPortable             a source that only its own process can build
    │   ├── SecretNotFound          a reference that no resolver could answer
    │   ├── SourceNotFound
    │   └── SourceExists
    ├── FetchError                  the source could not be reached or read
    │   ├── ConnectFailed, FetchTimeout, ServerFailed
    │   ├── SourceMissing           no such file or endpoint
    │   ├── AccessRefused           credentials are wrong: waits for an edit or "Sync now"
    │   ├── AddressDenied           the address may not be reached
    │   ├── HostKeyRefused          an SSH server's key is not pinned: nothing was sent to it
    │   │   └── HostKeyChanged      another key is pinned
    │   ├── RateLimited             the source says when to come back
    │   ├── Truncated               the input ended early
    │   ├── InputTooLarge
    │   └── ClockSkewed             the input claims to be from the future
    ├── DecodeError                 the bytes are not the declared format
    │   ├── EncodingInvalid
    │   ├── HeadingInvalid          missing, doubled or empty columns
    │   ├── StructureInvalid        wrong shape, record path not there, damaged document
    │   └── InputIncomplete         the end of the input is not proven; it may still be growing
    ├── MappingError                the declared mapping cannot work on this input
    ├── SinkError
    │   ├── SinkSchemaInvalid       the stock table lacks what was declared
    │   └── SinkUnavailable         locked, gone, refused
    │       └── SinkRateLimited     the platform says when to come back
    ├── StoreError
    │   ├── StoreUnavailable
    │   ├── SchemaTooNew
    │   └── RecordInvalid           a stored record cannot be read back
    ├── StateError
    │   ├── IllegalTransition       the event does not apply to the state; nothing was changed
    │   ├── LeaseLost               another worker owns the source now
    │   └── ApprovalInvalid         nothing is held, or the digest is another one
    ├── DeliveryRefused             a delivery to a source's endpoint is not taken
    │   └── SignatureInvalid        its sender is not proven
    ├── NotifyError                 a notification could not be handed over
    └── SyncCancelled
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import ClassVar

__all__ = [
    "AccessRefused",
    "AddressDenied",
    "ApprovalInvalid",
    "ClockSkewed",
    "ConfigurationError",
    "ConnectFailed",
    "DecodeError",
    "DeliveryRefused",
    "EncodingInvalid",
    "FetchError",
    "FetchTimeout",
    "HeadingInvalid",
    "HostKeyChanged",
    "HostKeyRefused",
    "IllegalTransition",
    "InputIncomplete",
    "InputTooLarge",
    "InventorySourcesError",
    "LeaseLost",
    "MappingError",
    "MissingExtra",
    "NotPortable",
    "NotifyError",
    "Phase",
    "RateLimited",
    "RecordInvalid",
    "Recovery",
    "SchemaTooNew",
    "SecretNotFound",
    "ServerFailed",
    "SignatureInvalid",
    "SinkError",
    "SinkRateLimited",
    "SinkSchemaInvalid",
    "SinkUnavailable",
    "SourceExists",
    "SourceMissing",
    "SourceNotFound",
    "StateError",
    "StoreError",
    "StoreUnavailable",
    "StructureInvalid",
    "SyncCancelled",
    "Truncated",
    "UnknownPart",
]


class Phase(Enum):
    """Where in a sync an error belongs."""

    CONFIGURE = "configure"
    RECEIVE = "receive"
    FETCH = "fetch"
    DECODE = "decode"
    MAP = "map"
    PLAN = "plan"
    APPLY = "apply"
    RECORD = "record"
    NOTIFY = "notify"


class Recovery(Enum):
    """What a failed sync does next.

    ``RETRY`` climbs the retry ladder. ``WAIT`` comes back later without spending a retry. ``STOP`` goes to Error at
    once while the schedule goes on. ``BLOCK`` goes to Error and waits for an edit or "Sync now".
    """

    RETRY = "retry"
    WAIT = "wait"
    STOP = "stop"
    BLOCK = "block"


class InventorySourcesError(Exception):
    """Root of the tree.

    :param message: what happened and where, free of secrets: it is stored, logged and sent in notifications.
    :param guidance: what to do about it; the class's own advice unless given.
    :param recovery: overrides the class's way to recover, for a case that the raiser knows better.
    :param retry_after: how long to wait at least, as told; ``None`` leaves it to the retry policy.
    """

    code: ClassVar[str] = "error"
    phase: ClassVar[Phase] = Phase.CONFIGURE
    default_recovery: ClassVar[Recovery] = Recovery.STOP
    default_guidance: ClassVar[str] = "Read the message and the log of the run."
    #: What makes it a matter of security, such as the key that a server showed: free of secrets, and told at once.
    alarm: str | None = None

    def __init__(
        self,
        message: str,
        *,
        guidance: str | None = None,
        recovery: Recovery | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.guidance: str = guidance or self.default_guidance
        self.recovery: Recovery = recovery or self.default_recovery
        self.retry_after = retry_after

    @property
    def may_pass(self) -> bool:
        """Whether the same attempt may succeed later with nothing changed."""
        return self.recovery in (Recovery.RETRY, Recovery.WAIT)

    def __str__(self) -> str:
        return f"{self.message} ({self.guidance})"


class ConfigurationError(InventorySourcesError):
    """Something declared is wrong; nothing was started."""

    code = "configuration_invalid"
    default_guidance = "Correct the declaration and add or update the source again."


class MissingExtra(ConfigurationError):
    """An optional dependency is not installed; the guidance names the command."""

    code = "missing_extra"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs a package that is not installed",
            guidance=f"pip install 'inventory-sources[{extra}]'",
        )
        self.feature = feature
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        return type(self), (self.feature, self.extra)


class UnknownPart(ConfigurationError):
    """A registry name that nobody registered in this process."""

    code = "unknown_part"
    default_guidance = "Register the part under this name in this process, or correct the name."


class NotPortable(ConfigurationError):
    """The source holds callables or objects that the registry does not know, so only its own process can build it."""

    code = "not_portable"
    default_guidance = (
        "Register the part in a Registry and refer to it by name, or sync it in the process that made it."
    )


class SecretNotFound(ConfigurationError):
    """A secret's reference that no resolver could answer."""

    code = "secret_not_found"
    default_recovery = Recovery.BLOCK
    default_guidance = "Provide the secret under this reference, then edit the source or sync it now."


class SourceNotFound(ConfigurationError):
    """No source of that name is in the store."""

    code = "source_not_found"
    default_guidance = "Add the source first, or correct its name."


class SourceExists(ConfigurationError):
    """A source of that name is in the store already."""

    code = "source_exists"
    default_guidance = "Update the existing source, or choose another name."


class FetchError(InventorySourcesError):
    """The source could not be reached or read."""

    code = "fetch_failed"
    phase = Phase.FETCH
    default_recovery = Recovery.RETRY
    #: Of an HTTP answer, where one was the reason.
    status: int | None = None
    default_guidance = "The next attempt may succeed; if it goes on, check the source's address and its system."


class ConnectFailed(FetchError):
    """No connection: name not found, refused, unreachable, TLS not verified."""

    code = "connect_failed"


class FetchTimeout(FetchError):
    """An answer, or all of it, did not arrive within the deadline."""

    code = "fetch_timeout"


class ServerFailed(FetchError):
    """The source answered with an error of its own (HTTP 5xx and the like)."""

    code = "server_failed"


class SourceMissing(FetchError):
    """There is no such file or endpoint (HTTP 404, a path that is not there)."""

    code = "source_missing"
    default_guidance = "Check the path or URL; a file may not have been delivered yet."


class AccessRefused(FetchError):
    """The credentials are wrong or lack the right (HTTP 401 and 403)."""

    code = "access_refused"
    default_recovery = Recovery.BLOCK
    default_guidance = "Correct the credentials, then edit the source or sync it now."


class AddressDenied(FetchError):
    """The address may not be reached from here: private, loopback, link-local, or otherwise not public."""

    code = "address_denied"
    default_recovery = Recovery.BLOCK
    default_guidance = "Use a public address; an operator may allow a private range for this source."


class HostKeyRefused(FetchError):
    """An SSH server showed a host key that is not pinned; nothing of the credentials was sent to it."""

    code = "host_key_refused"
    default_recovery = Recovery.BLOCK
    default_guidance = "Pin the server's host key once its operator has confirmed the fingerprint."


class HostKeyChanged(HostKeyRefused):
    """An SSH server showed another host key than the pinned one: it was replaced, or someone is in between.

    :param shown: the fingerprint of that key; each is told once an incident.
    """

    code = "host_key_changed"
    default_guidance = "Ask the server's operator why its key changed; pin the new one only when they confirm it."

    def __init__(self, message: str, *, guidance: str | None = None, shown: str | None = None) -> None:
        super().__init__(message, guidance=guidance)
        self.alarm: str | None = shown or message


class RateLimited(FetchError):
    """The source asks to come back later (HTTP 429, or 503 with Retry-After); burns no retry."""

    code = "rate_limited"
    default_recovery = Recovery.WAIT
    default_guidance = "It is asked again when the source allows; lower the frequency if this happens often."


class Truncated(FetchError):
    """The input ended before its declared length or end."""

    code = "truncated"
    default_guidance = "Nothing of it was used; the next attempt fetches it again."


class InputTooLarge(FetchError):
    """A cap on bytes, decoded bytes, ratio, rows or nesting was passed."""

    code = "input_too_large"
    default_recovery = Recovery.STOP
    default_guidance = "Raise the cap in the source's configuration if this size is right."


class ClockSkewed(FetchError):
    """The input claims to have been observed more than five minutes in the future."""

    code = "clock_skewed"
    default_guidance = "Correct the sending system's clock or time zone, or the zone declared for times in file names."


class DecodeError(InventorySourcesError):
    """The bytes are not the declared format."""

    code = "decode_failed"
    phase = Phase.DECODE
    default_guidance = "Compare the input with the declared format."


class EncodingInvalid(DecodeError):
    """The bytes are not text in the declared encoding."""

    code = "encoding_invalid"
    default_guidance = "Declare the encoding the file really has; `engine.check` suggests one."


class HeadingInvalid(DecodeError):
    """A needed column is missing, or headings are doubled or empty."""

    code = "heading_invalid"
    default_guidance = "Correct the mapping or the file's heading row; `engine.check` lists the columns found."


class StructureInvalid(DecodeError):
    """The document has another shape than declared, or its record path is not there."""

    code = "structure_invalid"
    default_guidance = "Correct the record path or the format; `engine.check` shows what was found."


class InputIncomplete(DecodeError):
    """The end of the input is not proven: it may still be growing. Waits without spending a retry."""

    code = "input_incomplete"
    default_recovery = Recovery.WAIT
    default_guidance = "It is read again shortly; if the file is always like this, declare so in its format."


class MappingError(InventorySourcesError):
    """The declared mapping cannot work on this input."""

    code = "mapping_failed"
    phase = Phase.MAP
    default_guidance = "Correct the mapping; `engine.check` suggests one."


class SinkError(InventorySourcesError):
    """The stock levels could not be read or written."""

    code = "sink_failed"
    phase = Phase.APPLY
    default_recovery = Recovery.RETRY
    default_guidance = "Nothing was half applied; the next attempt reads and plans anew."


class SinkSchemaInvalid(SinkError):
    """The stock table, or a declared column of it, is not there or has an unusable type."""

    code = "sink_schema_invalid"
    default_recovery = Recovery.STOP
    default_guidance = "Create the column, or correct the sink's declaration."


class SinkUnavailable(SinkError):
    """The stock table's database is locked, gone or refusing."""

    code = "sink_unavailable"


class SinkRateLimited(SinkUnavailable):
    """The platform asks to come back later; burns no retry."""

    code = "sink_rate_limited"
    default_recovery = Recovery.WAIT
    default_guidance = "The rest is written when the platform allows; lower the frequency if this happens often."


class StoreError(InventorySourcesError):
    """The state could not be read or written."""

    code = "store_failed"
    phase = Phase.RECORD
    default_recovery = Recovery.RETRY


class StoreUnavailable(StoreError):
    """The state's database is locked, gone or refusing."""

    code = "store_unavailable"
    default_guidance = "Check the state database; nothing was changed."


class SchemaTooNew(StoreError):
    """The state was written by a newer version of this library."""

    code = "schema_too_new"
    default_recovery = Recovery.STOP
    default_guidance = "Upgrade inventory-sources in this process."


class RecordInvalid(StoreError):
    """A stored record cannot be read back."""

    code = "record_invalid"
    default_recovery = Recovery.STOP
    default_guidance = "It was written by other code or damaged; restore it or remove the source."


class StateError(InventorySourcesError):
    """The request does not fit the state of the source; nothing was changed."""

    code = "state_conflict"
    phase = Phase.RECORD
    default_guidance = "Look at the source's status and try again."


class IllegalTransition(StateError):
    """The event does not apply to this state; nothing was changed."""

    code = "illegal_transition"


class LeaseLost(StateError):
    """Another worker owns the source now, or it was edited or deleted; this worker writes nothing more."""

    code = "lease_lost"
    default_guidance = "Nothing to do: the worker that holds the lease goes on."


class ApprovalInvalid(StateError):
    """Nothing is held for this source, or what is held has another digest."""

    code = "approval_invalid"
    default_guidance = "Look at the plan that is held now and decide on that one."


class DeliveryRefused(InventorySourcesError):
    """A delivery to a source's endpoint is not taken; nothing of it was kept."""

    code = "delivery_refused"
    phase = Phase.RECEIVE
    default_guidance = "The sender must mend the request; what it was answered says how."


class SignatureInvalid(DeliveryRefused):
    """A delivery does not prove who sent it: a missing, malformed, wrong, expired or repeated signature."""

    code = "signature_invalid"
    default_guidance = "Compare the secret and the scheme with the sender's settings, and both clocks."


class NotifyError(InventorySourcesError):
    """A notification could not be handed over; it stays in the outbox and is tried again."""

    code = "notify_failed"
    phase = Phase.NOTIFY
    default_recovery = Recovery.RETRY
    default_guidance = "It is sent again; check the notifier's address and credentials."


class SyncCancelled(InventorySourcesError):
    """The sync was asked to stop, by a person or because its worker is stopping."""

    code = "sync_cancelled"
    phase = Phase.FETCH
    default_guidance = "Sync now to run it again."
