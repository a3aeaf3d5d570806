from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from inventory_sources.presets import amazon_fba
from inventory_sources.testing.servers import Request, Response

from .vendors import FAULTS, KEY, TOKEN, answer, faulty, query, stored, synced

PRESET = amazon_fba("A1PA6795UKMFR9", client_id="amzn1.app", client_secret=KEY, refresh_token=KEY, region="eu")
#: Seller SKU and fulfillable; None has no details.
SUMMARIES = [("00123", 66), ("ZERO", 0), ("BARE", None), ("", 3), ("TWICE", 1), ("TWICE", 2), ("Z 9/x", 7)]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "s3cret")


def vendor(request: Request) -> Response:
    path = request.path.partition("?")[0]
    if path == "/auth/o2/token":
        form = dict(parse_qsl(request.body.decode()))
        if (form["grant_type"], form["refresh_token"]) != ("refresh_token", "s3cret"):
            return answer({"error": "invalid_grant", "error_description": "..."}, 400)
        return answer({"access_token": TOKEN, "refresh_token": "s3cret", "token_type": "bearer", "expires_in": 3600})
    assert path == "/fba/inventory/v1/summaries"
    assert "authorization" not in request.headers
    if request.headers.get("x-amz-access-token") != TOKEN:
        return answer({"errors": [{"code": "Unauthorized", "message": "Access to requested resource is denied."}]}, 403)
    asked = query(request)
    assert (asked["details"], asked["granularityType"]) == ("true", "Marketplace")
    assert asked["marketplaceIds"] == asked["granularityId"] == "A1PA6795UKMFR9"
    at = int(asked.get("nextToken", "0"))
    summaries = [
        {
            "asin": "B0",
            "sellerSku": sku,
            "totalQuantity": 99,
            **(
                {} if left is None else {"inventoryDetails": {"fulfillableQuantity": left, "inboundWorkingQuantity": 5}}
            ),
        }
        for sku, left in SUMMARIES[at : at + 3]
    ]
    payload = {"granularity": {"granularityType": "Marketplace"}, "inventorySummaries": summaries}
    more = {"pagination": {"nextToken": str(at + 3)}} if at + 3 < len(SUMMARIES) else {}
    return answer({**more, "payload": payload}, x_amzn_RateLimit_Limit="2.0")


EXPECTED = {("00123", "fba"): 66, ("ZERO", "fba"): 0, ("Z 9/x", "fba"): 7}


def test_all_summaries_of_all_pages():
    done = synced(PRESET, vendor)
    assert done.result == "completed"
    assert done.levels == EXPECTED
    assert sorted(reason for _, reason in done.rejected) == [
        "duplicate_key",
        "duplicate_key",
        "quantity_null",
        "sku_blank",
    ]
    assert done.run.evidence == "none"


def test_a_revoked_authorization_waits_for_an_edit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VENDOR_KEY", "other")
    done = synced(PRESET, vendor)
    assert (done.failure, done.levels) == ("access_refused", {})


def test_a_page_over_the_quota_is_asked_for_again():
    seen: list[Request] = []

    def once(request: Request) -> Response:
        seen.append(request)
        quota = {"errors": [{"code": "QuotaExceeded", "message": "You exceeded your quota"}]}
        return answer(quota, 429) if len(seen) in (3, 4) else vendor(request)

    assert synced(PRESET, once).levels == EXPECTED


def test_a_token_that_ended_has_the_list_read_anew():
    seen: list[Request] = []

    def once(request: Request) -> Response:
        seen.append(request)
        return answer({"errors": [{"code": "InvalidInput"}]}, 400) if len(seen) == 3 else vendor(request)

    done = synced(PRESET, once)
    assert done.levels == EXPECTED
    assert len(done.requests) == 6


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_between_pages_changes_nothing(fault: str):
    done = synced(PRESET, faulty(vendor, 3, FAULTS[fault]))
    assert (done.result, done.levels) == ("failed", {})


def test_it_can_be_stored():
    assert stored(PRESET) == PRESET
