"""Registry: names of parts to what makes them. An object that the host owns, not a global.

A registered *class* is built from a source's stored options, which cattrs types strictly; a registered *object* (the
host's sink, for one) is used as it is and takes no options.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import attrs
from attrs import define, field, frozen

from inventory_sources._documents import document_converter, explain, plain_document
from inventory_sources.errors import ConfigurationError, NotPortable, UnknownPart
from inventory_sources.secrets import SecretResolver, default_secrets
from inventory_sources.source import Part, Source, SourceSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Registry"]

_GROUP = "inventory_sources.parts"

_STAGES = ("connector", "decoder", "mapper", "identity", "guard", "sink", "catalog", "auth", "pager", "signature")

_STANDARD: dict[str, dict[str, str]] = {
    "connector": {
        "file": "inventory_sources.connectors:FileConnector",
        "http": "inventory_sources.connectors:HttpConnector",
        "rest": "inventory_sources.rest:RestConnector",
        "rest_rows": "inventory_sources.rest:RestRows",
        "shopify": "inventory_sources.presets._shopify:ShopifyLevels",
        "woocommerce": "inventory_sources.presets._woocommerce:WooProducts",
        "prestashop": "inventory_sources.presets._prestashop:PrestaShopStock",
        "shopify_rest": "inventory_sources.presets._shopify:RestLevels",
        "rest_query": "inventory_sources.rest:PostedQuery",
        "odoo": "inventory_sources.presets._odoo:OdooConnector",
        "sap_stock": "inventory_sources.presets._sap:SapStockConnector",
        "shipbob": "inventory_sources.presets._shipbob:ShipBobLevels",
        "shiphero": "inventory_sources.presets._shiphero:ShipHeroConnector",
        "stock_document": "inventory_sources.presets._stock_document:StockDocumentConnector",
        "sftp": "inventory_sources.connectors:SftpConnector",
        "webhook": "inventory_sources.webhooks:Webhook",
        "ftp": "inventory_sources.connectors:FtpConnector",
    },
    "decoder": {
        "csv": "inventory_sources.formats:CsvDecoder",
        "edifact_invrpt": "inventory_sources.formats:EdifactInventoryDecoder",
        "fixed_width": "inventory_sources.formats:FixedWidthDecoder",
        "gs1_xml": "inventory_sources.formats:Gs1InventoryDecoder",
        "json": "inventory_sources.formats:JsonDecoder",
        "jsonl": "inventory_sources.formats:JsonLinesDecoder",
        "x12_846": "inventory_sources.formats:X12InventoryDecoder",
        "spreadsheet": "inventory_sources.formats.spreadsheet:SpreadsheetDecoder",
        "ubl": "inventory_sources.formats:UblDecoder",
        "xml": "inventory_sources.formats:XmlDecoder",
    },
    "mapper": {"columns": "inventory_sources.mappers:Columns"},
    "identity": {
        "equal_sku": "inventory_sources.mappers:EqualSku",
        "table": "inventory_sources.mappers:TableIdentity",
    },
    "guard": {
        "empty_feed": "inventory_sources.guards:EmptyFeed",
        "shrunk_feed": "inventory_sources.guards:ShrunkFeed",
        "mass_zero": "inventory_sources.guards:MassZero",
        "mass_change": "inventory_sources.guards:MassChange",
        "low_match": "inventory_sources.guards:LowMatch",
    },
    "sink": {
        "shopify": "inventory_sources.sinks.http:ShopifySink",
        "woocommerce": "inventory_sources.sinks.http:WooCommerceSink",
    },
    "auth": {
        "bearer": "inventory_sources.rest:Bearer",
        "basic": "inventory_sources.rest:Basic",
        "api_key": "inventory_sources.rest:ApiKey",
        "prestashop_key": "inventory_sources.presets._prestashop:KeyAsUser",
        "both": "inventory_sources.rest:Both",
        "body_key": "inventory_sources.rest:BodyKey",
        "client_credentials": "inventory_sources.rest:ClientCredentials",
        "refresh_token": "inventory_sources.rest:RefreshToken",
        "login": "inventory_sources.rest:LoginToken",
        "oauth1": "inventory_sources.rest:OAuth1",
        "hmac": "inventory_sources.rest:HmacSigning",
    },
    "pager": {
        "link_header": "inventory_sources.rest:LinkHeader",
        "one_page": "inventory_sources.rest:OnePage",
        "next_url": "inventory_sources.rest:NextUrl",
        "cursor": "inventory_sources.rest:Cursor",
        "graphql_cursor": "inventory_sources.rest:GraphQlCursor",
        "page_number": "inventory_sources.rest:PageNumber",
        "page_number_more": "inventory_sources.rest:PageNumberMore",
        "header_total": "inventory_sources.rest:HeaderTotal",
        "offset": "inventory_sources.rest:Offset",
        "key_set": "inventory_sources.rest:KeySet",
        "body_key_set": "inventory_sources.rest:BodyKeySet",
    },
    "signature": {
        "standard_webhooks": "inventory_sources.webhooks:StandardWebhooks",
        "bigcommerce": "inventory_sources.webhooks:BigCommerce",
        "hmac": "inventory_sources.webhooks:HmacSignature",
        "shopify": "inventory_sources.webhooks:Shopify",
        "woocommerce": "inventory_sources.webhooks:WooCommerce",
        "square": "inventory_sources.webhooks:Square",
        "shiphero": "inventory_sources.webhooks:ShipHero",
        "github": "inventory_sources.webhooks:GitHub",
        "stripe": "inventory_sources.webhooks:Stripe",
        "business_central": "inventory_sources.webhooks:BusinessCentral",
        "bearer": "inventory_sources.webhooks:BearerToken",
        "allow_list": "inventory_sources.webhooks:AllowList",
        "client_certificate": "inventory_sources.webhooks:ClientCertificate",
        "all_of": "inventory_sources.webhooks:AllOf",
        "unsigned_trusting_url_alone": "inventory_sources.webhooks:UnsignedTrustingUrlAlone",
    },
}


def _buildable(part: object, what: str) -> object:
    if isinstance(part, type) and not attrs.has(part):
        raise ConfigurationError(
            f"{what}: {part.__name__} cannot be built from options",
            guidance="Make it an attrs class whose fields are its options, or register an object.",
        )
    return part


@frozen
class _Installed:
    """A part that an installed package offers, imported when it is used."""

    entry: EntryPoint

    @property
    def origin(self) -> str:
        """The package, as a person who installed it knows it."""
        package = self.entry.dist
        return f"the package {package.name} {package.version}" if package else "an installed package"

    def is_foreign(self, part: object) -> bool:
        """Whether an object cannot be of this part, so that the package need not be imported to see it."""
        return type(part).__module__.partition(".")[0] != self.entry.module.partition(".")[0]

    def load(self) -> object:
        """The part itself.

        :raises ConfigurationError: when the package cannot be imported or has no such part.
        """
        try:
            loaded = self.entry.load()
        except Exception as error:  # noqa: BLE001 - importing a package runs its code
            raise ConfigurationError(
                f"{self.entry.name!r} of {self.origin} cannot be loaded ({type(error).__name__})",
                guidance=f"Try `python -c 'import {self.entry.module}'`, and update or uninstall the package.",
            ) from None
        return _buildable(loaded, f"{self.entry.name!r} of {self.origin}")


@define
class Registry:
    """Names of parts to what makes them; begins with the library's own.

    :param secrets: finds the secrets that options refer to, such as ``env:ERP_TOKEN``.
    """

    secrets: SecretResolver = field(factory=default_secrets)
    _parts: dict[tuple[str, str], object] = field(factory=dict, init=False)
    _made: Any = field(default=None, init=False)

    def register(self, stage: str, name: str, part: object) -> None:
        """Gives a class (built from options) or an object (used as it is) a name.

        :param stage: ``connector``, ``decoder``, ``mapper``, ``identity``, ``guard``, ``sink``, ``catalog``, ``auth``,
            ``pager`` or ``signature``.
        :raises ConfigurationError: when the stage is unknown or the name is taken by another part.
        """
        if stage not in _STAGES:
            raise ConfigurationError(f"there is no stage {stage!r}", guidance=f"Use one of {', '.join(_STAGES)}.")
        if not name:
            raise ConfigurationError("a part needs a name")
        taken = self._parts.get((stage, name))
        installed = taken if isinstance(taken, _Installed) else None
        same = taken is None or taken is part or (installed is not None and installed == part)
        if name in _STANDARD.get(stage, {}) or not same:
            by = f" by {installed.origin}" if installed else ""
            raise ConfigurationError(f"the {stage} name {name!r} is taken{by}", guidance="Choose another name.")
        self._parts[stage, name] = _buildable(part, f"{stage} {name!r}")

    def load_entry_points(self) -> tuple[str, ...]:
        """Registers the parts that installed packages offer as entry points of the group ``inventory_sources.parts``.

        An entry point is named ``STAGE.NAME``, such as ``connector.acme``. Its package is imported when a source first
        names the part.

        :return: their names, sorted.
        :raises ConfigurationError: naming the package, when a name is none of these, or is taken.
        """
        from importlib.metadata import entry_points

        found = sorted((_Installed(entry) for entry in entry_points(group=_GROUP)), key=lambda one: one.entry.name)
        for one in found:
            stage, _, name = one.entry.name.partition(".")
            try:
                self.register(stage, name, one)
            except ConfigurationError as error:
                fault = f"{one.origin} offers {one.entry.name!r}, but {error.message}"
                raise ConfigurationError(fault, guidance="Uninstall it, or ask its author for another name.") from None
        return tuple(dict.fromkeys(one.entry.name for one in found))

    def build(self, spec: SourceSpec) -> Source:
        """The source that a specification describes.

        :raises NotPortable: when it was made of objects that no registry knows.
        :raises UnknownPart: when a name is not registered here.
        :raises ConfigurationError: when an option is unknown or of the wrong type, naming it.
        """
        if not spec.portable:
            raise NotPortable(f"source {spec.name!r} holds parts that only the process that made it has")
        stages: dict[str, Any] = {
            stage: self._make(stage, part)
            for stage, part in (
                ("connector", spec.connector),
                ("decoder", spec.decoder),
                ("mapper", spec.mapper),
                ("sink", spec.sink),
                ("catalog", spec.catalog),
            )
            if part is not None
        }
        if spec.guards is not None:
            stages["guards"] = tuple(self._make("guard", part) for part in spec.guards)
        return Source(
            name=spec.name,
            feed=spec.feed,
            frequency=spec.frequency,
            retry=spec.retry,
            timeout=spec.timeout,
            **stages,
        )

    def describe(self, source: Source) -> SourceSpec:
        """The specification of a source; not portable where a part is neither registered nor storable."""
        portable = True
        parts: dict[str, Any] = {}
        for stage in ("connector", "decoder", "mapper", "sink", "catalog"):
            part = getattr(source, stage)
            parts[stage], stored = self._describe(stage, part) if part is not None else (None, True)
            portable = portable and stored
        guards = [self._describe("guard", guard) for guard in source.guards]
        return SourceSpec(
            name=source.name,
            feed=source.feed,
            guards=tuple(part for part, _ in guards),
            frequency=source.frequency,
            retry=source.retry,
            timeout=source.timeout,
            portable=portable and all(stored for _, stored in guards),
            **parts,
        )

    def document(self, spec: SourceSpec) -> Mapping[str, object]:
        """A specification as plain JSON values."""
        return plain_document(spec, self._converter)

    def spec(self, document: Mapping[str, object]) -> SourceSpec:
        """A specification from plain JSON values.

        :raises ConfigurationError: naming each value that is unknown, missing or of the wrong type.
        """
        spec: SourceSpec = self._structure(document, SourceSpec, "source")
        return spec

    @property
    def _converter(self) -> Any:
        if self._made is None:
            from inventory_sources.mappers import EqualSku, TableIdentity
            from inventory_sources.protocols.connector import Connector
            from inventory_sources.protocols.webhook import SignatureScheme
            from inventory_sources.rest import Auth, Pager

            made = document_converter(self.secrets)
            # The type of the stage's field. By it, and not by the object's own class, cattrs finds its hooks.
            identity: Any = EqualSku | TableIdentity
            nested = (
                ("identity", identity),
                ("auth", Auth),
                ("pager", Pager),
                ("signature", SignatureScheme),
                ("connector", Connector),
            )
            for stage, declared in nested:
                self._nest(made, stage, declared)
            self._made = made
        return self._made

    def _nest(self, made: Any, stage: str, declared: Any) -> None:
        """Has a part that is a field of another stored as parts are."""
        made.register_structure_hook_func(
            lambda target: target == declared, lambda value, _: self._make(stage, made.structure(value, Part))
        )
        made.register_unstructure_hook_func(
            lambda target: target == declared, lambda value: made.unstructure(self._stored(stage, value))
        )

    def _stored(self, stage: str, part: object) -> Part:
        described, storable = self._describe(stage, part)
        if not storable:
            raise NotPortable(f"{stage} {type(part).__qualname__} is neither registered nor storable")
        return described

    def _make(self, stage: str, part: Part) -> object:
        found = self._find(stage, part.name)
        if isinstance(found, type):
            return self._structure(part.options, found, f"{stage} {part.name!r}")
        if part.options:
            raise ConfigurationError(f"{stage} {part.name!r} is an object of the host's and takes no options")
        return found

    def _structure(self, document: object, cls: type[Any], what: str) -> Any:
        try:
            return self._converter.structure(document, cls)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - cattrs raises groups and bare errors alike
            raise ConfigurationError(f"{what}: {explain(error)}") from None

    def _find(self, stage: str, name: str) -> object:
        found = self._parts.get((stage, name))
        if found is not None:
            return found.load() if isinstance(found, _Installed) else found
        target = _STANDARD.get(stage, {}).get(name)
        if target is None:
            known = sorted([*_STANDARD.get(stage, {}), *(key for kind, key in self._parts if kind == stage)])
            raise UnknownPart(f"no {stage} is registered as {name!r}; registered: {', '.join(known) or 'none'}")
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)

    def _describe(self, stage: str, part: object) -> tuple[Part, bool]:
        for (kind, name), registered in self._parts.items():
            if kind == stage and registered is part:
                return Part(name), True
        own = [
            name
            for (kind, name), registered in self._parts.items()
            if kind == stage and not (isinstance(registered, _Installed) and registered.is_foreign(part))
        ]
        for name in (*_STANDARD.get(stage, {}), *own):
            if self._find(stage, name) is type(part):
                try:
                    return Part(name, plain_document(part, self._converter)), True
                except NotPortable:
                    return Part(name), False
        return Part(f"local:{type(part).__qualname__}"), False
