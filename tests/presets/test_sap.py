from __future__ import annotations

import base64
import json

import pytest
from attrs import evolve

from inventory_sources.errors import ConfigurationError
from inventory_sources.presets import Preset, sap_s4hana
from inventory_sources.rest import Offset, RestConnector
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, answer, faulty, query, stored, synced


def by_three(preset: Preset) -> Preset:
    connector = preset.connector
    assert isinstance(connector, RestConnector)
    assert isinstance(connector.pager, Offset)
    return evolve(preset, connector=evolve(connector, pager=evolve(connector.pager, limit=3)))


HOST = "my300000-api.s4hana.cloud.sap"
PRESET = by_three(sap_s4hana(HOST, "STOCK_READER", KEY, plants=["1010", "1710"]))
PLACES = by_three(sap_s4hana(HOST, "STOCK_READER", KEY, by="storage_location"))
#: Material, plant, storage location, batch, quantity as the service writes it.
ROWS = [
    ("00123", "1010", "101A", "", "4.00000000000000"),
    ("00123", "1010", "101B", "", "2.000"),
    ("00123", "1710", "171A", "", "1"),
    ("BATCHED", "1010", "101A", "B1", "12.125"),
    ("BATCHED", "1010", "101A", "B2", "-0.125"),
    ("UNKNOWN", "1010", "101A", "", None),
    ("ZERO", "1010", "101A", "", "0.000"),
]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "p4ss")


def row(number: int) -> dict[str, object]:
    material, plant, place, batch, quantity = ROWS[number]
    uri = f"https://{HOST}/A_MatlStkInAcctMod(Material='{material}',Plant='{plant}',L='{place}',Batch='{batch}')"
    return {
        "__metadata": {"id": uri, "uri": uri, "type": "API_MATERIAL_STOCK_SRV.A_MatlStkInAcctModType"},
        "Material": material,
        "Plant": plant,
        "StorageLocation": place,
        "Batch": batch,
        "MaterialBaseUnit": "PC",
        "MatlWrhsStkQtyInMatlBaseUnit": quantity,
        "to_MaterialStock": {"__deferred": {"uri": "x"}},
    }


def vendor(request: Request) -> Response:
    assert request.path.partition("?")[0] == "/sap/opu/odata/sap/API_MATERIAL_STOCK_SRV/A_MatlStkInAcctMod"
    user = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    if user != "STOCK_READER:p4ss":
        return Response(b"<html>Logon failed</html>", 401, {"Content-Type": "text/html"})
    asked = query(request)
    assert asked["$filter"].startswith("InventoryStockType eq '01' and InventorySpecialStockType eq ''")
    assert asked["$orderby"].startswith("Material,Plant,StorageLocation,Batch")
    assert asked["$inlinecount"] == "allpages"
    skip, top = int(asked["$skip"]), int(asked["$top"])
    results = [row(number) for number in range(len(ROWS))][skip : skip + top]
    return answer({"d": {"__count": str(len(ROWS)), "results": results}})


def test_by_plant_summed_up():
    done = synced(PRESET, vendor)
    assert done.result == "completed"
    assert {key: float(level or 0) for key, level in done.levels.items()} == {
        ("00123", "1010"): 6,
        ("00123", "1710"): 1,
        ("BATCHED", "1010"): 12,
        ("ZERO", "1010"): 0,
    }
    assert done.rejected == [("UNKNOWN", "quantity_null")]
    assert done.run.evidence == "count, last_page"
    assert [query(request)["$skip"] for request in done.requests] == ["0", "2", "4"]
    assert query(done.requests[0])["$filter"].endswith("and (Plant eq '1010' or Plant eq '1710')")


def test_by_storage_location():
    done = synced(PLACES, vendor)
    assert {key: float(level or 0) for key, level in done.levels.items()} == {
        ("00123", "1010/101A"): 4,
        ("00123", "1010/101B"): 2,
        ("00123", "1710/171A"): 1,
        ("BATCHED", "1010/101A"): 12,
        ("ZERO", "1010/101A"): 0,
    }


def test_a_wrong_password_waits_for_an_edit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "other")
    done = synced(PRESET, vendor)
    assert (done.failure, done.levels) == ("access_refused", {})


def test_too_many_requests_wait_as_told():
    done = synced(PRESET, faulty(vendor, 2, answer({"error": {"code": "429"}}, 429, Retry_After="60")))
    assert (done.failure, done.levels) == ("rate_limited", {})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_between_pages_changes_nothing(fault: str):
    done = synced(PRESET, faulty(vendor, 2, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_a_list_that_goes_on_shifting_is_refused():
    calls: list[int] = []

    def shifting(request: Request) -> Response:
        calls.append(1)
        document = json.loads(vendor(request).body)
        if len(calls) % 2 == 0:
            document["d"]["results"] = document["d"]["results"][1:]
        return answer(document)

    done = synced(PRESET, shifting)
    assert (done.failure, done.levels) == ("input_incomplete", {})


def test_only_names_of_plants():
    with pytest.raises(ConfigurationError, match="no plant"):
        sap_s4hana(HOST, "u", KEY, plants=["1' or 1"])


@pytest.mark.parametrize("preset", [PRESET, PLACES])
def test_it_can_be_stored(preset: Preset):
    assert stored(preset) == preset
