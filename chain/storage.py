"""The database as every package sees it: one metadata, one way to begin a transaction.

SQLite takes its write lock at BEGIN (BEGIN IMMEDIATE), since read-then-write under a deferred
lock loses updates. PostgreSQL reads committed; what must not race there says so in its UPDATE.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

from chain.sealing import Keyring, KeyringMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy.engine.interfaces import Dialect

T = TypeVar("T")

LOCK_PATIENCE_S = 30
"""How long a write waits for SQLite's one lock."""
CACHE_KIB = 16_384
"""Pages of SQLite a connection may keep: of 2,000 terminals, each writes to a page of its own again and again."""
CHECKPOINT_PAGES = 8_192
"""Pages in SQLite's log before they are moved into the file: a page written in every commit is then moved once."""


class Row(SQLModel):
    """Base of every table; all tables share one metadata with one naming convention."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class _Sealed(sa.types.TypeDecorator[Any]):
    """A value that lies sealed in the database (``chain.sealing``), each under a key of its own.

    Args:
        place: ``table.column``; a value does not open anywhere else.
    """

    impl = sa.LargeBinary
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Seals."""
        return None if value is None else _ring(dialect).seal(self._bytes(value), self.place)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        """Opens."""
        return None if value is None else self._value(_ring(dialect).open(bytes(value), self.place))

    def _bytes(self, value: Any) -> bytes:
        return bytes(value)

    def _value(self, plain: bytes) -> Any:
        return plain


class SealedBytes(_Sealed):
    """Bytes that lie sealed in the database. Args as ``_Sealed``."""

    cache_ok = True


class SealedText(_Sealed):
    """A text that lies sealed in the database. Args as ``_Sealed``."""

    cache_ok = True

    def _bytes(self, value: str) -> bytes:
        return value.encode()

    def _value(self, plain: bytes) -> str:
        return plain.decode()


class SealedJson(_Sealed):
    """A JSON value that lies sealed in the database. Args as ``_Sealed``."""

    cache_ok = True

    def _bytes(self, value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    def _value(self, plain: bytes) -> Any:
        return json.loads(plain)


def keyring_of(session: Session) -> Keyring:
    """The keys of the database a session speaks to.

    Raises:
        KeyringMissingError: it was opened without.
    """
    return _ring(session.get_bind().dialect)


def _ring(dialect: Dialect) -> Keyring:
    # Each engine has a dialect of its own, and a column type is told no more than that.
    ring = getattr(dialect, "yundan_keyring", None)
    if not isinstance(ring, Keyring):
        raise KeyringMissingError
    return ring


_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@functools.cache
def insert_into(dialect: str, table: sa.Table) -> Any:
    """An INSERT that may say what to do about a row that is there already.

    A statement is worth keeping: to build one costs more than to run it.
    """
    return _INSERTS[dialect](table)


@functools.cache
def _insert_new(dialect: str, table: sa.Table, keys: tuple[str, ...]) -> Any:
    new = insert_into(dialect, table).on_conflict_do_nothing(index_elements=keys)
    # nobody asks for the number of the new row, but whether there is one
    return new.inline().execution_options(preserve_rowcount=True)


def insert_new(
    session: Session, row: type[SQLModel], values: Mapping[str, Any], *keys: str
) -> bool:
    """Inserts a row unless one of the same key is there, in one statement; whether it was new.

    Args:
        session: the transaction; rows that the new one refers to have been written out.
        row: class of the row.
        values: every column of it.
        keys: the columns of its primary key or of a unique constraint.
    """
    table = row.__table__  # type: ignore[attr-defined]  # every table class has it
    statement = _insert_new(session.get_bind().dialect.name, table, keys)
    return bool(session.connection().execute(statement, dict(values)).rowcount)


def insert_later(
    session: Session, row: type[SQLModel], values: Mapping[str, Any], *keys: str
) -> None:
    """As ``insert_new`` for who need not know whether it was new: many rows go in one statement."""
    table = row.__table__  # type: ignore[attr-defined]  # every table class has it
    write_later(session, _inserter(table, keys), dict(values))


@functools.cache
def _inserter(table: sa.Table, keys: tuple[str, ...]) -> Callable[[Session, list[Any]], None]:
    def write(session: Session, rows: list[Any]) -> None:
        statement = _insert_new(session.get_bind().dialect.name, table, keys)
        session.connection().execute(statement, rows)

    return write


def write_later(session: Session, write: Callable[[Session, list[T]], None], value: T) -> None:
    """Keeps a value until ``write`` writes all that were kept for it, in their order, in few statements.

    They are written before the next question that could see them, or with the commit, kind after kind in
    the order in which each was first kept; and at once where the session is no ``UnitOfWork``.

    Args:
        session: the transaction.
        write: writes values; the same object for every value of a kind.
        value: one of them.
    """
    if isinstance(session, UnitOfWork):
        session.kept.setdefault(write, []).append(value)
    else:
        write(session, [value])


class UnitOfWork(Session):
    """A session in which every statement sees what was written through rows before it.

    SQLAlchemy writes changed rows out before a question about mapped classes, but not before one that
    names tables. So a repository need not flush after each change: the changes of a row travel together,
    with the next statement that could see them or with the commit. ``write_later`` is the same for
    statements.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.kept: dict[Callable[[Session, list[Any]], None], list[Any]] = {}

    def execute(self, *args: Any, **options: Any) -> Any:
        """As ``Session.execute``; what has changed is written out first."""
        if self.autoflush:
            self.flush()
        return super().execute(*args, **options)

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        """As ``Session.flush``; then what was kept for later, which may refer to those rows."""
        super().flush(objects)
        while self.kept:
            kept, self.kept = self.kept, {}
            for write, values in kept.items():
                write(self, values)

    def commit(self) -> None:
        """As ``Session.commit``; what was kept for later is part of it."""
        self.flush()
        super().commit()

    def rollback(self) -> None:
        """As ``Session.rollback``; what was kept for later is forgotten."""
        self.kept.clear()
        super().rollback()


class Storage:
    """An engine and the two ways to use it: to write (one at a time on SQLite) and to read.

    Args:
        url: SQLAlchemy URL.
        outlives_power_cuts: False on SQLite spares a flush to disk a commit: a killed process still loses
            nothing, a power cut may take the last commits back. For demos alone.
        keyring: opens and seals personal data; a process that touches none needs none.
    """

    def __init__(
        self, url: str, *, outlives_power_cuts: bool = True, keyring: Keyring | None = None
    ) -> None:
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"hide_parameters": True}
        if not self.is_sqlite:
            options |= {"pool_size": 10, "max_overflow": 10, "pool_pre_ping": True}
        elif self.url.database:  # one in memory has no pool; writers in line keep no reader out
            options |= {"pool_size": 10, "max_overflow": 30}
        self.engine = sa.create_engine(self.url, **options)
        self.engine.dialect.yundan_keyring = keyring  # type: ignore[attr-defined]  # see _ring
        if self.is_sqlite:
            prepare = _prepare_sqlite if outlives_power_cuts else _prepare_sqlite_lightly
            sa.event.listen(self.engine, "connect", prepare)
            gate = _WriteGate()
            sa.event.listen(self.engine, "begin", gate.begin)
            sa.event.listen(self.engine, "checkin", gate.leave)
        self._reader = self.engine.execution_options(read_only=True)

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits when the block ends well and rolls back when it does not."""
        with UnitOfWork(self.engine, expire_on_commit=False) as session:
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; on SQLite it takes no write lock, and nothing is committed.

        Rows read in it stay readable after it (detached: what was loaded, no more).
        """
        with UnitOfWork(self._reader, expire_on_commit=False) as session:
            try:
                yield session
            finally:
                session.expunge_all()  # or the rollback would empty the rows
                session.rollback()

    @contextlib.contextmanager
    def look(self) -> Iterator[sa.Connection]:
        """As ``read``, for plain questions of tables: a session costs more than such a question."""
        with self._reader.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write_at_length(self) -> Iterator[Session]:
        """``write`` for work that comes back to the same rows again and again.

        A session forgets a row as soon as nobody holds it and asks for it anew; here it holds on to
        every row until the end, so that a row is read once.
        """
        with self.write() as session:
            held: list[Any] = []
            for name in ("loaded_as_persistent", "pending_to_persistent"):
                sa.event.listen(session, name, lambda _session, row: held.append(row))
            yield session

    def create_all(self) -> None:
        """Creates every table known so far; for tests (a real system migrates)."""
        Row.metadata.create_all(self.engine)

    def close(self) -> None:
        """Gives every connection back."""
        self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin on its own
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a power cut must not take back an acknowledged row
        "foreign_keys=ON",
        f"busy_timeout={LOCK_PATIENCE_S * 1000}",
        f"cache_size=-{CACHE_KIB}",
        f"wal_autocheckpoint={CHECKPOINT_PAGES}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_sqlite_lightly(connection: Any, record: object) -> None:
    _prepare_sqlite(connection, record)
    connection.execute("PRAGMA synchronous=NORMAL")


class _WriteGate:
    """One door to SQLite's one lock for all threads of a process: they wait in line, and only the first asks the file.

    Without it every waiting thread looks at the lock each millisecond, and the one that works gets no turn.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def begin(self, connection: sa.Connection) -> None:
        """Begins to read, or takes the lock to write."""
        if connection.get_execution_options().get("read_only", False):
            connection.exec_driver_sql("BEGIN")
            return
        raw, info = connection.connection.dbapi_connection, connection.info
        if raw is None:
            raise sa.exc.InvalidRequestError("a closed connection begins nothing")
        deadline = time.monotonic() + LOCK_PATIENCE_S
        if not info.get(_INSIDE):
            info[_INSIDE] = self._lock.acquire(timeout=LOCK_PATIENCE_S)
        try:
            _take_file_lock(connection, raw, deadline)
        except BaseException:
            self.leave(raw, connection.connection)
            raise

    def leave(self, _raw: Any, record: Any) -> None:
        """The connection goes back: the next may come in."""
        if record.info.pop(_INSIDE, False):
            self._lock.release()


_INSIDE = "inside_write_gate"


def _take_file_lock(connection: sa.Connection, raw: Any, deadline: float) -> None:
    # SQLite itself sleeps up to 100 ms between two looks at its one lock, so that a busy process which
    # takes it again at once starves the others: look every millisecond instead, as long as it would.
    raw.execute("PRAGMA busy_timeout=0")
    try:
        while time.monotonic() < deadline:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
                time.sleep(0.001)
            else:
                return
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # fails in SQLAlchemy's words
    finally:
        raw.execute(f"PRAGMA busy_timeout={LOCK_PATIENCE_S * 1000}")
