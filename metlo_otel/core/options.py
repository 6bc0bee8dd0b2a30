"""The options of the ways in, typed, so that an editor completes them and a misspelt one fails there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from metlo_otel.core.exemptions import Exemption

# What may be written for an option; a text is what an environment variable would hold,
# None that it is not set.
Text = str | None
Number = int | str | None
Size = int | str | None  # bytes or items
Seconds = float | str | None
Flag = bool | str | None
Names = str | Iterable[str] | None
Function = Callable[..., Any] | str | None  # or where to import it from
Detection = str | Mapping[str, str] | None
Exemptions = str | Iterable[Exemption | Mapping[str, str] | str] | None
Rules = Path | str | list[dict[str, Any]] | None


class LowerCase(TypedDict, total=False):
    """Every setting but the host and the key, which are arguments; docs/reference/settings.md tells each."""

    collector_port: Number
    backend_port: Number
    log_level: Number
    encryption_key: Text
    get_user: Function
    reject_response: Function
    max_body: Size
    read_ahead_wait: Seconds
    max_inspect: Size
    oversize: Literal["pass", "block"] | None
    disabled: Flag
    disable: Flag
    environment: Text
    service_name: Text
    excluded_urls: Names
    trusted_proxies: Names
    trusted_proxy_header: Text
    client_ipv6_prefix: Number
    masked_fields: Names
    span_attributes: Literal["markers", "headers", "bodies", "none"] | None
    tracing: Literal["join", "instrument"] | None
    disable_e2ee: Flag
    detection: Detection
    detection_except: Exemptions
    mask_sensitive: Flag
    analysis_budget: Seconds
    mode: Literal["block", "monitor"] | None
    allowed_ips: Names
    rules: Rules
    rate_limit_storage: Text
    config_cache: Text
    first_rules_wait: Seconds
    export: Literal["metlo", "otlp", "metlo,otlp"] | None
    max_queue_bytes: Size
    max_queue_exchanges: Size


class Options(LowerCase, total=False):
    """The same in upper case, as Metlo's documentation writes them, and the host and the key under those names."""

    METLO_HOST: Text
    HOST: Text
    API_KEY: Text
    KEY: Text
    COLLECTOR_PORT: Number
    BACKEND_PORT: Number
    LOG_LEVEL: Number
    ENCRYPTION_KEY: Text
    GET_USER: Function
    REJECT_RESPONSE: Function
    MAX_BODY: Size
    READ_AHEAD_WAIT: Seconds
    MAX_INSPECT: Size
    OVERSIZE: Literal["pass", "block"] | None
    DISABLED: Flag
    DISABLE: Flag
    ENVIRONMENT: Text
    SERVICE_NAME: Text
    EXCLUDED_URLS: Names
    TRUSTED_PROXIES: Names
    TRUSTED_PROXY_HEADER: Text
    CLIENT_IPV6_PREFIX: Number
    MASKED_FIELDS: Names
    SPAN_ATTRIBUTES: Literal["markers", "headers", "bodies", "none"] | None
    TRACING: Literal["join", "instrument"] | None
    DISABLE_E2EE: Flag
    DETECTION: Detection
    DETECTION_EXCEPT: Exemptions
    MASK_SENSITIVE: Flag
    ANALYSIS_BUDGET: Seconds
    MODE: Literal["block", "monitor"] | None
    ALLOWED_IPS: Names
    RULES: Rules
    RATE_LIMIT_STORAGE: Text
    CONFIG_CACHE: Text
    FIRST_RULES_WAIT: Seconds
    EXPORT: Literal["metlo", "otlp", "metlo,otlp"] | None
    MAX_QUEUE_BYTES: Size
    MAX_QUEUE_EXCHANGES: Size
