"""A gateway on a real socket and a real database, for tests of the road."""

from __future__ import annotations

import contextlib

from chain.clock import SystemClock
from chain.ids import Hash32
from tracking.fix import Fix
from tracking.ingest.gateway import Gateway, GatewaySettings
from tracking.repository import SqlRecords
from tracking.service import TrackingService

VEHICLE = Hash32("0x" + "11" * 32)
PHONE = "13912345678"


class Road:
    """Storage, its use cases and a gateway; ``take`` may be wrapped by a test."""

    def __init__(self, storage, clock=None, **settings):
        self.storage = storage
        self.clock = clock or SystemClock()
        self.settings = GatewaySettings(**settings)
        self.gateway = None
        self.port = 0
        self.take = self.take_arrivals

    def take_arrivals(self, arrivals):
        with self.storage.write() as session:
            return TrackingService(records=SqlRecords(session), clock=self.clock).take_arrivals(
                arrivals
            )

    def write(self, work):
        with self.storage.write() as session:
            return work(TrackingService(records=SqlRecords(session), clock=self.clock))

    def register(self, *phones, vehicle=VEHICLE, auth_code=""):
        for phone in phones:
            self.write(lambda s, p=phone: s.register_terminal(p, vehicle, auth_code=auth_code))

    def fixes(self, phone, since=0, until=1 << 40):
        with self.storage.read() as session:
            return SqlRecords(session).list_fixes(phone.lstrip("0"), since, until)

    def raw(self, phone):
        with self.storage.read() as session:
            return SqlRecords(session).list_raw(phone.lstrip("0"), 0, 1 << 40)

    @contextlib.asynccontextmanager
    async def open(self):
        self.gateway = Gateway(take=self.take, clock=self.clock, settings=self.settings)
        _, self.port = await self.gateway.start()
        try:
            yield self
        finally:
            await self.gateway.stop()


def drive(count, start=1_767_571_200, step=10, lat=31_000_000, lon=121_000_000):
    """A simple drive northwards, ``count`` fixes."""
    return [
        Fix(
            time=start + i * step,
            lat_e6=lat + i * 1_000,
            lon_e6=lon,
            speed_dkmh=400,
            heading=0,
            altitude_m=4,
            satellites=9,
            odometer_dkm=1_000 + i,
        )
        for i in range(count)
    ]
