"""One position, as evidence sees it: whole numbers, the device's own clock, nothing derived."""

from __future__ import annotations

from typing import NamedTuple


class Fix(NamedTuple):
    """A position of a terminal. WGS-84 (CGCS2000 is equal to it at our accuracy).

    A named tuple and no dataclass: ten thousand are made in a second, and a frozen dataclass of sixteen fields
    takes six times as long. ``tracking.repository`` and ``tracking.track`` rely on the order of its fields.

    Attributes:
        time: unix seconds UTC by the device's clock; a server clock never stands in for it.
        lat_e6: latitude in millionths of a degree, north positive.
        lon_e6: longitude in millionths of a degree, east positive.
        speed_dkmh: speed in 0.1 km/h as the source gave it, None where it gave none.
        heading: degrees clockwise from north 0..359 as the source gave it, or None.
        received: unix seconds UTC at which we received it, or None where the file does not say.
        terminal: normalised terminal id (digits without leading zeros), "" where unknown.
        altitude_m: metres above sea level, signed (Turpan lies below it), or None.
        satellites: satellites in use (JT/T 808 item 0x31), or None.
        valid: the device's own word that it has a position (JT/T 808 status bit 1).
        odometer_dkm: mileage in 0.1 km (item 0x01), or None.
        recorder_dkmh: tachograph speed in 0.1 km/h (item 0x03), or None.
        status: the raw JT/T 808 status word, or None.
        alarm: the raw JT/T 808 alarm word, or None.
        late: sent later from a blind area (0x0704 type 1); never an accusation by itself.
        items_ok: the additional items were well formed; a bad item never costs the fix.
    """

    time: int
    lat_e6: int
    lon_e6: int
    speed_dkmh: int | None = None
    heading: int | None = None
    received: int | None = None
    terminal: str = ""
    altitude_m: int | None = None
    satellites: int | None = None
    valid: bool = True
    odometer_dkm: int | None = None
    recorder_dkmh: int | None = None
    status: int | None = None
    alarm: int | None = None
    late: bool = False
    items_ok: bool = True
