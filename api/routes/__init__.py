"""Routes under /v1, one file a noun; each takes a request to one use case."""

from __future__ import annotations

from api.routes import (
    advances,
    attestations,
    audit,
    custody,
    deliveries,
    documents,
    driver,
    keys,
    lines,
    organisations,
    parties,
    positions,
    receipts,
    routes,
    sessions,
    settlements,
    system,
    trips,
    waybills,
    webhooks,
)

ALL_ROUTERS = (
    system.router,
    parties.router,
    keys.router,
    organisations.router,
    sessions.router,
    routes.router,
    waybills.router,
    trips.router,
    deliveries.router,
    documents.router,
    driver.router,
    receipts.router,
    positions.router,
    attestations.router,
    lines.router,
    advances.router,
    settlements.router,
    custody.router,
    audit.router,
    webhooks.router,
)
