"""The tables of the store; times are milliseconds since the epoch, UTC, and minutes count from the epoch too."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

# SQLite numbers rows by itself only in columns of exactly the type INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

SIZES = ("summed", "request_bytes", "response_bytes")


def _counts() -> tuple[Column[int], ...]:
    names = ("calls", "client_errors", "server_errors", "attacks", "blocked")
    return tuple(Column(name, BigInteger, nullable=False, server_default="0") for name in names)


def _endpoint(primary_key: bool = False) -> Column[int]:
    reference = ForeignKey("endpoints.id", ondelete="CASCADE")
    return Column("endpoint_id", Id, reference, primary_key=primary_key, nullable=False)


# Keys: only the SHA-256 of each is kept, and its first characters to recognise it by. `reads` says that it is for
# reading what is stored, else it is an agent's. `user_id` is whose token it is (null: nobody's), `scopes` what it may
# read, `hosts` and `services` whose traces an agent may send with it, as JSON lists (null: all).
KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("hint", String(16), nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("last_used", BigInteger),
    Column("reads", Boolean, nullable=False),
    Column("user_id", BigInteger),
    Column("scopes", Text),
    Column("hosts", Text),
    Column("services", Text),
)

# What somebody set, each as JSON text; what is not here has its default. `version` counts the changes of agent-config.
SETTINGS = Table(
    "settings",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Column("changed", BigInteger, nullable=False),
)

# `operation` is a GraphQL operation (`query.user`), else empty; `inferred` says that the path is a guess. `latency` is
# the histogram of all calls whose time is known (see latencies.py), `p95` its 95th percentile in microseconds, to sort
# by. `summed` counts the calls that came in sums; the bytes are of these.
ENDPOINTS = Table(
    "endpoints",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("host", String(255), nullable=False),
    Column("method", String(8), nullable=False),
    Column("path", String(1024), nullable=False),
    Column("operation", String(255), nullable=False),
    Column("inferred", Boolean, nullable=False),
    *_counts(),
    Column("risk", Integer, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("full_capture", Boolean, nullable=False),
    Column("latency", LargeBinary),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in ("p95", *SIZES)),
    UniqueConstraint("host", "method", "path", "operation"),
    Index(None, "risk"),
)

# How often an endpoint answered with a status, since ever.
STATUSES = Table(
    "endpoint_statuses",
    METADATA,
    _endpoint(primary_key=True),
    Column("status", Integer, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What happened at an endpoint in one minute; of older times whole hours are summed up in their first minute.
MINUTES = Table(
    "endpoint_minutes",
    METADATA,
    _endpoint(primary_key=True),
    Column("minute", Integer, primary_key=True),
    *_counts(),
    Index(None, "minute"),
    sqlite_with_rowid=False,
)

# The same of all endpoints together.
TOTALS = Table(
    "total_minutes",
    METADATA,
    Column("minute", Integer, primary_key=True, autoincrement=False),
    *_counts(),
)

# How long calls took, as histograms: of one endpoint in one minute, and of all together; thinned as the minutes are.
LATENCIES = Table(
    "endpoint_latencies",
    METADATA,
    _endpoint(primary_key=True),
    Column("minute", Integer, primary_key=True),
    Column("latency", LargeBinary, nullable=False),
    Index(None, "minute"),
    sqlite_with_rowid=False,
)
TOTAL_LATENCIES = Table(
    "total_latencies",
    METADATA,
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("latency", LargeBinary, nullable=False),
)

# What was learnt of an endpoint and its fields. `key` is `<section>.<path>` as on the wire (empty: the endpoint),
# `status` the response's for what stood in one, else 0. Kinds: `type`, `class`, `media`, `flag`, `absent` (there was
# the field's parent but not the field), and `answered` (the app answered with this status).
FACTS = Table(
    "endpoint_facts",
    METADATA,
    _endpoint(primary_key=True),
    Column("key", String(512), primary_key=True),
    Column("status", Integer, primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("name", String(128), primary_key=True),
    Column("first_seen", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The latest traces of each endpoint, as columns to search by; `trace_id` is OpenTelemetry's.
TRACES = Table(
    "traces",
    METADATA,
    Column("id", Id, primary_key=True),
    _endpoint(),
    Column("received", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("host", String(255), nullable=False),
    Column("method", String(8), nullable=False),
    Column("path", String(1024), nullable=False),
    Column("status", Integer, nullable=False),
    Column("source", String(255)),
    Column("user", String(255)),
    Column("session", String(255)),
    Column("blocked", Boolean, nullable=False),
    Column("rule", String(255)),
    Column("attacks", String(255)),
    Column("redacted", Boolean, nullable=False),
    Column("interesting", Boolean, nullable=False),
    Column("trace_id", String(32)),
    Column("duration", BigInteger),
    Column("size", Integer, nullable=False),
    Index(None, "endpoint_id", "id", "interesting"),
    Index(None, "received"),
    Index(None, "source", "id"),
    Index(None, "user", "id"),
    Index(None, "session", "id"),
    Index(None, "trace_id"),
    sqlite_autoincrement=True,
)

# The traces whole, as JSON in UTF-8; apart from the columns, so that searching does not read them.
DOCUMENTS = Table(
    "trace_documents",
    METADATA,
    Column("trace_id", Id, ForeignKey("traces.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("document", LargeBinary, nullable=False),
)

# One row for each category in each field of an attack; `stored_trace` may have been deleted since.
ATTACKS = Table(
    "attacks",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    _endpoint(),
    Column("stored_trace", BigInteger),
    Column("category", String(64), nullable=False),
    Column("field", String(512), nullable=False),
    Column("confidence", String(8)),
    Column("fragment", Text),
    Column("path", String(1024), nullable=False),
    Column("status", Integer, nullable=False),
    Column("blocked", Boolean, nullable=False),
    Column("source", String(255)),
    Column("user", String(255)),
    Column("session", String(255)),
    Index(None, "at"),
    Index(None, "endpoint_id", "id"),
    Index(None, "source", "id"),
    sqlite_autoincrement=True,
)

# Who sent requests: `kind` is address, session or user.
ACTORS = Table(
    "actors",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("value", String(255), nullable=False),
    *_counts(),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    UniqueConstraint("kind", "value"),
    Index(None, "attacks"),
)

# Rules; `document` is the wire form, `mode` is block or monitor.
RULES = Table(
    "rules",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("name", String(255), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("mode", String(8), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("document", Text, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
)

# `subject` tells alerts of one kind apart, `status` is open, snoozed, resolved or ignored, `detail` a JSON object,
# `notified` is when it was told to the log and given to the destinations (null: not yet).
ALERTS = Table(
    "alerts",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("subject", String(600), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("endpoint_id", Id, ForeignKey("endpoints.id", ondelete="CASCADE")),
    Column("detail", Text, nullable=False),
    Column("status", String(8), nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("notified", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("assignee", String(255)),
    Column("snoozed_until", BigInteger),
    UniqueConstraint("kind", "subject"),
    Index(None, "status", "last_seen"),
    Index(None, "endpoint_id"),
)

# What was said of an alert.
ALERT_COMMENTS = Table(
    "alert_comments",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("alert_id", Id, ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("who", String(255), nullable=False),
    Column("text", Text, nullable=False),
    Index(None, "alert_id"),
)

# Kinds of alerts that are ignored at an endpoint, or on a host where they belong to none.
ALERT_MUTES = Table(
    "alert_mutes",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("endpoint_id", Id, ForeignKey("endpoints.id", ondelete="CASCADE")),
    Column("host", String(255)),
    Column("who", String(255), nullable=False),
    Column("made", BigInteger, nullable=False),
    Index(None, "endpoint_id"),
)

# Searches that somebody saved: `page` is the list that they are of, `query` what stands in its address.
VIEWS = Table(
    "saved_views",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("page", String(32), nullable=False),
    Column("name", String(64), nullable=False),
    Column("query", Text, nullable=False),
    Column("who", String(255), nullable=False),
    Column("made", BigInteger, nullable=False),
    UniqueConstraint("page", "name"),
)

# Who changed what; `detail` is a JSON object.
AUDIT = Table(
    "audit_log",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("who", String(255), nullable=False),
    Column("action", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)

# OpenAPI descriptions that were uploaded; `host` is the (mapped) host that they describe.
SPECS = Table(
    "specs",
    METADATA,
    Column("name", String(128), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("text", Text, nullable=False),
    Column("changed", BigInteger, nullable=False),
)

# Which services answered at an endpoint, as spans name them; the calls are those that spans told of.
ENDPOINT_SERVICES = Table(
    "endpoint_services",
    METADATA,
    _endpoint(primary_key=True),
    Column("service", String(255), primary_key=True),
    Column("environment", String(128), primary_key=True),
    Column("language", String(32), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Index(None, "service"),
    sqlite_with_rowid=False,
)

# Which service called which; `callee` is a service's name, or the host that was called.
SERVICE_CALLS = Table(
    "service_calls",
    METADATA,
    Column("caller", String(255), primary_key=True),
    Column("callee", String(255), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

COUNTS = ("calls", "client_errors", "server_errors", "attacks", "blocked")
