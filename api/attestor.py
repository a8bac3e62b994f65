"""An attestor's process: its own key, its own node, its own copy of the rules.

It asks the platform for raw evidence and believes nothing else of it: terms and commitments are read on
chain by itself, the verdict is recomputed by ``tracking.attestor``.
"""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import structlog

from api.client import ClientError, YundanClient
from api.key_request import Scope
from api.settings import Settings
from api.startup import configure_logs, load_settings
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.events import TrackCommitted
from chain.bindings.waybill_registry import WaybillRegistry
from chain.client import ChainClient
from chain.deployments import find_deployment
from chain.errors import ChainUnavailableError, YundanError
from chain.ids import Hash32, PartyId, TripId
from tracking.attestor import Commit, Terms, consider
from tracking.policy import default_policy, find_policy

_log = structlog.get_logger(__name__)

SIGNING_TIME_S = 24 * 3600


class Attestor:
    """One attestor.

    Args:
        settings: attestor_key and attestor_party, api_url of the platform, rpc_url of its own node.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signer = settings.attestor.open()
        self._party = PartyId(settings.attestor_party)
        self._policy = default_policy()
        self._refused: dict[TripId, str] = {}

    @cached_property
    def _chain(self) -> ChainClient:
        deployment = find_deployment(self._settings.deployments, self._settings.chain_id)
        return ChainClient(
            self._settings.rpc_url, chain_id=self._settings.chain_id, deployment=deployment
        )

    @cached_property
    def _platform(self) -> YundanClient:
        client = YundanClient(
            self._settings.api_url or f"http://{self._settings.host}:{self._settings.port}",
            signer=self._signer,
            party=self._party,
        )
        client.open_key(scopes=[Scope.READ, Scope.ATTESTATIONS], label="attestor process")
        return client

    def look_once(self) -> int:
        """Says its word on every trip that waits for it; how many.

        Raises:
            YundanError: platform or node cannot be asked now; nothing is lost.
        """
        said = 0
        for waiting in self._platform.walk("/v1/attestations/waiting", limit=100):
            trip = TripId(waiting["trip"])
            try:
                self._attest(trip)
                said += 1
                self._refused.pop(trip, None)
            except (ChainUnavailableError, ClientError):
                raise
            except YundanError as error:
                if self._refused.get(trip) != error.code:  # once for each reason
                    _log.warning("not_attested", trip=trip, code=error.code, why=str(error))
                    self._refused[trip] = error.code
        return said

    def _attest(self, trip: TripId) -> None:
        version, vehicle, plan, policy = self._chain.fetch(WaybillRegistry.trip_terms(trip))
        document = self._platform.get(f"/v1/trips/{trip}/evidence")["evidence"]
        word = consider(
            document,
            trip=trip,
            terms=Terms(version, vehicle, plan, policy),
            commits=self._fetch_commits(trip),
            policy=find_policy(policy) or self._policy,
            others=self._fetch_others(document),
        )
        now = int(self._chain.fetch_head().at.timestamp())
        form = word.form(
            attestor=self._party,
            expires=now + SIGNING_TIME_S,
            salt=Hash32("0x" + secrets.token_hex(32)),
        )
        self._platform.post_signed(
            f"/v1/trips/{trip}/attestations", form, self._chain.domain("DeliveryRegistry")
        )
        _log.info("attested", trip=trip, verdict=word.judged.verdict.outcome.value)

    def _fetch_others(self, document: Mapping[str, Any]) -> dict[TripId, dict[int, Commit]]:
        """What the chain holds of the earlier trips that the platform lays beside this one."""
        named = {TripId(str(other.get("trip_id", ""))) for other in document.get("others", ())}
        return {trip: self._fetch_commits(trip) for trip in sorted(named) if trip}

    def _fetch_commits(self, trip: TripId) -> dict[int, Commit]:
        """The batches that the chain holds, all of them: the contract says how many there are."""
        expected = self._chain.fetch(DeliveryRegistry.get(trip)).batches
        seen = self._chain.fetch_events(TrackCommitted, about=Hash32(trip))
        if len(seen) != expected:
            raise ChainUnavailableError("the node does not give every commitment of the trip yet")
        return {
            one.event.index: Commit(
                root=one.event.root,
                count=one.event.count,
                first_time=one.event.first_time,
                last_time=one.event.last_time,
                at=int(one.at.timestamp()),
            )
            for one in seen
        }


def run_attestor(*, once: bool = False) -> None:
    """Runs an attestor: looks for trips that wait for its word, judges their raw evidence, signs."""
    settings = load_settings()
    configure_logs()
    attestor = Attestor(settings)
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while not stopping:
        try:
            attestor.look_once()
        except YundanError as error:
            _log.warning("attestor_put_off", code=error.code, why=str(error))
        if once:
            return
        time.sleep(settings.poll_seconds)
