"""The fixes of a day in a table of their own, on PostgreSQL: a day is dropped, not deleted row by row.

`fix` is partitioned by the device's clock. The tables of days lie in the schema `fix_day`, so that what compares
models with the database sees one table `fix`. A fix of a day that has no table (a wrong clock, a late
upload) stands in `fix_day.other`: nothing is refused for want of a table. SQLite has none of this.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlmodel import Session

DAY_S = 86_400
SCHEMA = "fix_day"
CREATE = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.other PARTITION OF fix DEFAULT",
)
"""What a new database needs besides the table ``fix`` itself."""


class FixDay(NamedTuple):
    """A day's table: its name, and the span of unix seconds it holds, ``until`` exclusive."""

    name: str
    since: int
    until: int


def day_of(day: int) -> FixDay:
    """The table of a UTC day (unix seconds // 86,400)."""
    date = dt.date.fromordinal(dt.date(1970, 1, 1).toordinal() + day)
    return FixDay(f"{SCHEMA}.d{date:%Y%m%d}", day * DAY_S, (day + 1) * DAY_S)


def is_partitioned(session: Session) -> bool:
    """Whether this database keeps fixes by day."""
    return session.get_bind().dialect.name == "postgresql"


def list_days(session: Session) -> list[FixDay]:
    """The days that have a table, oldest first."""
    rows = session.execute(
        sa.text(
            "SELECT tablename FROM pg_tables WHERE schemaname = :schema AND tablename <> 'other'"
        ),
        {"schema": SCHEMA},
    )
    first = dt.date(1970, 1, 1).toordinal()
    days = [
        dt.datetime.strptime(name, "d%Y%m%d").replace(tzinfo=dt.UTC).toordinal() - first
        for (name,) in rows
    ]
    return [day_of(day) for day in sorted(days)]


def prepare_days(session: Session, days: range) -> int:
    """Makes the tables of days that have none; how many. Fixes that came before their table move into it."""
    known = {one.name for one in list_days(session)}
    wanted = [one for one in map(day_of, days) if one.name not in known]
    for day in wanted:
        # Made apart and attached: beside fixes of that day in `other` a partition cannot be created.
        span = {"since": day.since, "until": day.until}
        session.execute(sa.text(f"CREATE TABLE {day.name} (LIKE fix INCLUDING ALL)"))
        session.execute(
            sa.text(
                f"WITH moved AS (DELETE FROM {SCHEMA}.other WHERE time >= :since AND time < :until "  # noqa: S608  names of our own
                f"RETURNING *) INSERT INTO {day.name} SELECT * FROM moved"
            ),
            span,
        )
        session.execute(
            sa.text(
                f"ALTER TABLE fix ATTACH PARTITION {day.name} FOR VALUES FROM ({day.since}) TO ({day.until})"
            )
        )
    return len(wanted)


def drop_day(session: Session, day: FixDay) -> int:
    """Drops a day's table with all that it holds; how many fixes."""
    held: int = session.execute(sa.text(f"SELECT count(*) FROM {day.name}")).scalar_one()  # noqa: S608  a name of our own
    session.execute(sa.text(f"DROP TABLE {day.name}"))
    return held
