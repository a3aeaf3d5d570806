"""SAP S/4HANA: material stock, by the OData service API_MATERIAL_STOCK_SRV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import frozen

from inventory_sources.errors import ConfigurationError
from inventory_sources.feed import Feed
from inventory_sources.mappers import Columns
from inventory_sources.presets._numbers import JSON_NUMBERS
from inventory_sources.presets._preset import Preset
from inventory_sources.quantities import NegativePolicy
from inventory_sources.rest import Basic, Offset, RestConnector
from inventory_sources.secrets import Secret

__all__ = ["SapStockConnector", "sap_s4hana"]

_DOCS = "https://help.sap.com/doc/98598d91753e472da1235b2aa36babc5/1.0/en-US"
_SERVICE = "_sap_cloud_sdk_vdm_material_stock_service"
_QUANTITY = "MatlWrhsStkQtyInMatlBaseUnit"
_PLACE = "Place"
#: All parts of the entity's key: only a full order is the same for each page.
_ORDER = (
    "Material,Plant,StorageLocation,Batch,Supplier,Customer,WBSElementInternalID,SDDocument,SDDocumentItem,"
    "InventorySpecialStockType,InventoryStockType"
)


@frozen(kw_only=True)
class SapStockConnector(RestConnector):
    """Records with ``Place``, which is plant and storage location, such as ``1010/101A``."""

    def record(self, record: dict[str, str | None]) -> Mapping[str, object] | None:
        """The record with its place."""
        return {**record, _PLACE: f"{record.get('Plant') or ''}/{record.get('StorageLocation') or ''}"}


def sap_s4hana(
    host: str,
    username: str,
    password: Secret,
    *,
    plants: Sequence[str] = (),
    by: Literal["plant", "storage_location"] = "plant",
) -> Preset:
    """Unrestricted-use stock of one's own: ``Material`` as the SKU, the plant as the location.

    The quantity on hand is ``MatlWrhsStkQtyInMatlBaseUnit`` of ``A_MatlStkInAcctMod``, in the material's base unit, of
    stock type 01 without a special stock indicator (no consignment, no stock for an order or project) that lies at a
    storage location, summed up over batches and, by plant, over storage locations. A batch below zero takes its part
    off the sum, and a sum below zero is given as it is. The feed is a snapshot; each page begins with the last record
    of the one before, so that its end proves it whole.

    :param host: such as ``my300000-api.s4hana.cloud.sap``.
    :param username: of a communication user.
    :param plants: only these; all unless given.
    :param by: whether locations are plants, or storage locations such as ``1010/101A``.
    :raises ConfigurationError: when a plant's name cannot be one.
    """
    for plant in plants:
        if not (plant.isascii() and plant.isalnum() and len(plant) <= 4):
            raise ConfigurationError(f"{plant[:20]!r} is no plant: up to four letters and digits")
    stock = "InventoryStockType eq '01' and InventorySpecialStockType eq '' and StorageLocation ne ''"
    chosen = " or ".join(f"Plant eq '{plant}'" for plant in plants)
    connector = SapStockConnector(
        url=f"https://{host}/sap/opu/odata/sap/API_MATERIAL_STOCK_SRV/A_MatlStkInAcctMod",
        params={
            "$filter": f"{stock} and ({chosen})" if chosen else stock,
            "$orderby": _ORDER,
            "$inlinecount": "allpages",
            "$format": "json",
        },
        auth=Basic(username, password),
        records="d.results",
        keep=("Material", "Plant", _PLACE, _QUANTITY),
        pager=Offset(param="$skip", limit_param="$top", limit=1000, total="d.__count", overlap=1),
        key="__metadata.uri",
    )
    mapper = Columns(
        "Material",
        _QUANTITY,
        "Plant" if by == "plant" else _PLACE,
        quantity_format=JSON_NUMBERS,
        negative=NegativePolicy.KEEP,
        duplicates="sum",
    )
    return Preset(
        connector=connector,
        mapper=mapper,
        feed=Feed.snapshot("on_hand"),
        documented=(
            f"{_DOCS}/classes/{_SERVICE}.matlstkinacctmod.html (read 2026-11-23)",
            f"{_DOCS}/classes/{_SERVICE}.matlstkinacctmodrequestbuilder.html (read 2026-11-23)",
        ),
        unverified=(
            "whether materials without stock are listed with zero or not at all",
            "whether numbers of materials come with leading zeros",
            "how the service slows down clients that ask too often",
        ),
    )
