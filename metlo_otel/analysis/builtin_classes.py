"""The classes of sensitive data that are looked for until the backend has sent its own list."""

from __future__ import annotations

from metlo_otel.core.agent_config import DataClass

# Values stand alone or between blanks and the punctuation of running text.
_BEFORE = r"(?:^|[\s<>()\[\]{}\"'`,;:=])"
_AFTER = r"(?:$|[\s<>()\[\]{}\"'`,;:.!?])"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|0?[1-9]?\d|00\d)"
_HEX = r"[0-9a-f]{1,4}"
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_QUOTED = r'"(?:[^"\\\r\n]|\\[^\r\n]){1,64}"'
_HOST = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_WORD_START = r"(?:^|[^A-Za-z0-9_])"
_WORD_END = r"(?:$|[^A-Za-z0-9_])"
_KEY_START = r"(?:^|[._\[\]-])"
_KEY_END = r"(?:$|[._\[\]-])"


def _alone(pattern: str) -> str:
    return f"{_BEFORE}(?:{pattern}){_AFTER}"


def _token(pattern: str) -> str:
    return f"{_WORD_START}(?:{pattern}){_WORD_END}"


def _named(*names: str) -> str:
    return f"(?i){_KEY_START}(?:{'|'.join(names)}){_KEY_END}"


_EMAIL = _alone(rf"(?:{_ATOM}(?:\.{_ATOM})*|{_QUOTED})@(?:{_HOST}|\[(?:{_OCTET}(?:\.{_OCTET}){{3}}|ipv6:[0-9a-f:]+)\])")
_IP4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_IP6 = rf"(?:{_HEX}:){{7}}{_HEX}|(?:{_HEX}:){{1,7}}:|::(?:{_HEX}:){{0,6}}{_HEX}|(?:{_HEX}:){{1,6}}(?::{_HEX}){{1,6}}"
_CARD = (
    r"[2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}|4\d{12}|(?:2131|1800|35\d{3})\d{11}"
    r"|3[47]\d{2}[ -]?\d{6}[ -]?\d{5}|3[068]\d{2}[ -]?\d{6}[ -]?\d{4}"
)
_DEGREES_LAT = r"[-+]?(?:90(?:\.0+)?|[1-8]?\d(?:\.\d+)?)"
_DEGREES_LON = r"[-+]?(?:180(?:\.0+)?|(?:1[0-7]\d|[1-9]?\d)(?:\.\d+)?)"

BUILTIN_CLASSES: tuple[DataClass, ...] = (
    DataClass("Address", "medium", None, "(?i)address|street|postal_?code|zip_?code"),
    DataClass("Email", "medium", f"(?i){_EMAIL}"),
    DataClass("Credit Card Number", "high", _alone(_CARD)),
    DataClass("Social Security Number", "high", _alone(r"\d{3}(?:-\d{2}-| \d{2} |-?\d{2}[- ]?| ?\d{2}[- ]?)\d{4}")),
    DataClass(
        "Phone Number",
        "medium",
        _alone(r"(?:\+?\d{1,3}[\s.-]?)?\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4}|\+\d{8,15}|\+\d{1,3}(?:[ .-]\d{2,4}){2,5}"),
    ),
    DataClass("IP Address", "low", f"(?i){_alone(_IP4)}|(?:^|\\s)(?:{_IP6})(?:\\s|$)"),
    DataClass("Geographic Coordinates", "medium", _alone(rf"{_DEGREES_LAT}\s*,\s*{_DEGREES_LON}")),
    DataClass(
        "Vehicle Identification Number",
        "low",
        _alone(r"[A-HJ-NPR-Z0-9]{17}"),
        _named("vin", "vehicle_?identification_?number"),
    ),
    DataClass(
        "Driver License Number",
        "medium",
        None,
        _named(
            "dl_?n(?:o|um|umber)",
            "driver'?s?_?licen[cs]e(?:_?n(?:o|um|umber))?",
            "driving_?licen[cs]e(?:_?n(?:o|um|umber))?",
        ),
    ),
    DataClass("Date of Birth", "medium", None, _named("dob", "birth_?da(?:te|y)", "date_?of_?birth")),
    DataClass("Aadhar Number", "high", _alone(r"\d{12}|\d{4}([ -])\d{4}[ -]\d{4}")),
    DataClass("Brazil CPF", "high", _alone(r"\d{3}[-. ]?\d{3}[-. ]?\d{3}[-. ]?\d{2}")),
    DataClass("IBAN", "high", r"(?i)(?:^|[^a-z0-9])[a-z]{2}\d{2}(?: ?[a-z0-9]){11,30}(?:$|[^a-z0-9])"),
    DataClass(
        "Passport MRZ",
        "high",
        r"(?:^|\s)(?:[A-Z0-9<]{9}\d[A-Z<]{3}\d{7}[MFX<]\d{7}[A-Z0-9<]{14}[0-9<]\d|[ACI][A-Z<]{4}[A-Z0-9<]{9}\d[A-Z0-9<]{15}\s\d{7}[MFX<]\d{7})",
    ),
    DataClass("Passport Number", "high", None, _named("passport(?:_?(?:n(?:o|um|umber)|id))?")),
    DataClass("JSON Web Token", "high", _token(r"eyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*")),
    DataClass("Private Key", "high", r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    DataClass("AWS Key", "high", _token(r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"), _named("aws_?secret_?access_?key")),
    DataClass(
        "GitHub Token",
        "high",
        _token(r"gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    ),
    DataClass("GitLab Token", "high", _WORD_START + r"gl(?:pat|dt|rt|ptt|soat)-[A-Za-z0-9_-]{20,}"),
    DataClass(
        "Slack Token",
        "high",
        _WORD_START
        + r"xox[abeoprs]-[A-Za-z0-9-]{10,}|https://hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{20,}",
    ),
    DataClass(
        "Stripe Key",
        "high",
        _token(r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,200}|whsec_[A-Za-z0-9+/=]{24,80}"),
    ),
    DataClass(
        "Google API Key",
        "high",
        _WORD_START + r"(?:AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{28})",
    ),
    DataClass("Azure Key", "high", r"(?i)(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{43,88}={0,2}"),
    DataClass("SendGrid Key", "high", _WORD_START + r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    DataClass("Twilio Key", "high", _token(r"(?:SK|AC)[0-9a-f]{32}")),
    DataClass("npm Token", "high", _token(r"npm_[A-Za-z0-9]{36}")),
    DataClass("Password", "high", None, _named("pass(?:word|wd|phrase|code)", "pwd")),
)
"""Own patterns; names as the backend's default list has them, so that its severities and colours apply."""
