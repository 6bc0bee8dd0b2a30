"""Classes of sensitive data: what the backend's list and the built-in one find, and what they leave alone."""

from __future__ import annotations

import json
import time
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metlo_otel.analysis import checksums
from metlo_otel.analysis.builtin_classes import BUILTIN_CLASSES
from metlo_otel.analysis.data_classes import Classifier
from metlo_otel.core.agent_config import DataClass
from metlo_otel.reading.nodes import Scalar
from tests.analysis.records import refuse
from tests.profiles import examples
from tests.shared import SHARED, needs_shared

BUILT_IN = Classifier(None, refuse)
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1NDIifQ.nt6vA1bwh32L0J3yMooTwYXc4pk0M3v_j9hBSXk45Sw"
PASSPORT = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10"
ID_CARD = "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<"


def found_in(value: Scalar, key: str = "reqBody.x", classifier: Classifier = BUILT_IN) -> list[str]:
    return classifier.detect([(key, value, "string")]).get(key, [])


FOUND = [
    ("Email", "bob@example.com"),
    ("Email", "Bob@Example.COM"),
    ("Email", "write to <bob.o'neil+x@mail.example.co.uk>, please"),
    ("Email", '"bob b"@example.com'),
    ("Email", "bob@[10.0.0.1]"),
    ("Credit Card Number", "4111 1111 1111 1111"),
    ("Credit Card Number", "card: 378282246310005."),
    ("Credit Card Number", "6011111111111117"),
    ("Credit Card Number", "5555-5555-5555-4444"),
    ("Credit Card Number", "3530111333300000"),
    ("Credit Card Number", "4222222222222"),
    ("Credit Card Number", "2223003122003222"),
    ("Social Security Number", "123-45-6789"),
    ("Social Security Number", "123456789"),
    ("Phone Number", "+1 415-555-2671"),
    ("Phone Number", "(415) 555-2671"),
    ("Phone Number", "+4915112345678"),
    ("IP Address", "192.168.1.1"),
    ("IP Address", "from 10.0.0.1, twice"),
    ("IP Address", "::1"),
    ("IP Address", "2001:db8::8a2e:370:7334"),
    ("Geographic Coordinates", "40.7128, -74.0060"),
    ("Aadhar Number", "2341 2341 2346"),
    ("Aadhar Number", "234123412346"),
    ("Brazil CPF", "529.982.247-25"),
    ("Brazil CPF", "52998224725"),
    ("Vehicle Identification Number", "1HGCM82633A004352"),
    ("IBAN", "GB82 WEST 1234 5698 7654 32"),
    ("IBAN", "to DE89370400440532013000 by noon"),
    ("IBAN", "no9386011117947"),
    ("IBAN", "FR14 2004 1010 0505 0001 3M02 606"),
    ("IBAN", "NL91ABNA0417164300"),
    ("IBAN", "MT84MALT011000012345MTLCAST001S today"),
    ("Passport MRZ", PASSPORT),
    ("Passport MRZ", ID_CARD),
    ("JSON Web Token", f"Bearer {TOKEN}"),
    ("Private Key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
    ("Private Key", "-----BEGIN OPENSSH PRIVATE KEY-----"),
    ("Private Key", "-----BEGIN PGP PRIVATE KEY BLOCK-----"),
    ("AWS Key", "id=AKIAIOSFODNN7EXAMPLE"),
    ("GitHub Token", "ghp_" + "a1B2" * 9),
    ("GitLab Token", "glpat-" + "x" * 20),
    ("Slack Token", "xoxb-" + "1234567890-abc"),
    ("Stripe Key", "sk_live_" + "a" * 24),
    ("Google API Key", "AIza" + "Sy_-1" * 7),
    ("SendGrid Key", "SG." + "a" * 22 + "." + "b" * 43),
    ("Twilio Key", "SK" + "0a" * 16),
    ("npm Token", "npm_" + "a" * 36),
    ("Azure Key", "AccountName=x;AccountKey=" + "a" * 86 + "=="),
]


@pytest.mark.parametrize(("name", "value"), FOUND)
def test_builtin_classes_find(name: str, value: str) -> None:
    """The built-in list finds each kind in the forms that it is written in."""
    assert name in found_in(value)


NOT_FOUND = [
    ("Credit Card Number", "4111 1111 1111 1112"),
    ("Credit Card Number", "1234567890123456789012"),
    ("Aadhar Number", "2341 2341 2347"),
    ("Brazil CPF", "529.982.247-26"),
    ("Brazil CPF", "111.111.111-11"),
    ("IBAN", "GB82 WEST 1234 5698 7654 33"),
    ("IBAN", "in2024 this house was sold again"),
    ("Vehicle Identification Number", "1HGCM82643A004352"),
    ("Passport MRZ", PASSPORT.replace("7408122", "7408123")),
    ("Email", "bob at example.com"),
    ("Email", "@handle"),
    ("IP Address", "1.2.3"),
    ("IP Address", "300.1.1.1"),
    ("IP Address", "12:30"),
    ("Phone Number", "2024-01-02T03:04:05Z"),
    ("AWS Key", "AKIASHORT"),
    ("JSON Web Token", "eyJhbGciOiJIUzI1NiJ9"),
]


@pytest.mark.parametrize(("name", "value"), NOT_FOUND)
def test_builtin_classes_leave_alone(name: str, value: str) -> None:
    """What only looks like it, or has wrong check digits, is not reported."""
    assert name not in found_in(value)


@pytest.mark.parametrize(
    "value", ["ordinary words", "sku-12345", "2024-01-02", "99.95", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "true"]
)
def test_ordinary_values_have_no_class(value: str) -> None:
    """Ordinary values have no class at all."""
    assert found_in(value) == []


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Address", "reqBody.home_address.line"),
        ("Date of Birth", "reqBody.user.date_of_birth"),
        ("Date of Birth", "reqBody.dob"),
        ("Driver License Number", "resBody.driversLicenseNumber"),
        ("Driver License Number", "resBody.driving_licence"),
        ("Vehicle Identification Number", "resBody.car.vin"),
        ("Passport Number", "resBody.passportNumber"),
        ("Password", "reqBody.password"),
    ],
)
def test_builtin_keys(name: str, key: str) -> None:
    """Keys tell what values cannot, whatever the type."""
    assert name in found_in(7, key)


@pytest.mark.parametrize("key", ["resBody.moving", "resBody.dobby", "resBody.passed", "reqHeaders.Host"])
def test_ordinary_keys(key: str) -> None:
    """A key that only contains the letters tells nothing."""
    assert found_in("x", key) == []


@needs_shared
def test_builtin_list_is_at_least_as_wide_as_the_backends() -> None:
    """Each class of the backend's default list is in the built-in one under its name and severity."""
    assert SHARED is not None
    listed = json.loads((SHARED / "contract/default_data_classes.json").read_text("utf-8"))
    ours = {each.name: each for each in BUILTIN_CLASSES}
    for theirs in listed:
        assert ours[theirs["className"]].severity == theirs["severity"]
        assert ours[theirs["className"]].regex or not theirs.get("regex")
        assert ours[theirs["className"]].key_regex or not theirs.get("keyRegex")


NEAR = "|".join(
    [
        r"[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}",
        r"[0-9]{1,3}(\.[0-9]{1,3}){3}",
        r"-?[0-9]{1,2}(\.[0-9]{1,3})? ?, ?-?[0-9]{1,3}",
        r"(\+[0-9]{1,2} )?\(?[0-9]{3}\)?[ .-][0-9]{3}[ .-][0-9]{4}",
        r"[a-z.]{1,5}@[a-z0-9-]{1,4}\.[a-z-]{2,3}",
    ]
)


@needs_shared
@settings(max_examples=examples(300), deadline=None)
@given(st.from_regex(f"[ ]?({NEAR})[ ]?", fullmatch=True))
def test_builtin_list_finds_what_the_backends_finds(value: str) -> None:
    """What the backend's list finds in a value, the built-in one finds too (but for card numbers' check digit)."""
    assert set(found_in(value, classifier=default_list())) - {"Credit Card Number"} <= set(found_in(value))


@cache
def default_list() -> Classifier:
    assert SHARED is not None
    listed = json.loads((SHARED / "contract/default_data_classes.json").read_text("utf-8"))
    classes = [
        DataClass(each["className"], each["severity"], each.get("regex"), each.get("keyRegex")) for each in listed
    ]
    return Classifier(classes, refuse)


@pytest.mark.parametrize("key", ["reqHeaders.Host", "reqHeaders.host"])
def test_an_apps_own_address_is_nobodys_data(key: str) -> None:
    """The Host header says nothing of a person; a client's address does, and so does what a backend lists itself."""
    assert found_in("127.0.0.1:8000", key) == []
    assert found_in("127.0.0.1:8000", "reqHeaders.X-Forwarded-For") == ["IP Address"]
    hosts = DataClass("Host", "low", r"127\.0\.0\.1")
    assert found_in("127.0.0.1:8000", key, Classifier([hosts], refuse)) == ["Host"]


def test_configured_classes_replace_the_builtin_ones() -> None:
    """A configured list is all that counts; an empty one finds nothing; numbers and paths have no value to match."""
    only = Classifier([DataClass("Order", "low", r"^ord-\d+$", "order_id$")], refuse)
    assert only.detect(
        [
            ("reqBody.a", "ord-7", "string"),
            ("reqBody.b", "bob@example.com", "string"),
            ("reqBody.order_id", 7, "number"),
            ("reqBody.ord-7", None, "null"),
        ]
    ) == {"reqBody.a": ["Order"], "reqBody.order_id": ["Order"]}
    assert Classifier([], refuse).detect([("reqBody.b", "bob@example.com", "string")]) == {}


def test_check_digits_of_configured_classes() -> None:
    """Of a configured list, only Aadhar Number and Brazil CPF are held against their check digits."""
    wide = [DataClass(name, "high", r"\d{4}") for name in ("Aadhar Number", "Brazil CPF", "Credit Card Number")]
    classifier = Classifier(wide, refuse)
    assert found_in("234123412346", classifier=classifier) == ["Aadhar Number", "Credit Card Number"]
    assert found_in("234123412347", classifier=classifier) == ["Credit Card Number"]


def test_a_class_by_value_and_key_is_named_once() -> None:
    """A class that a value and its key both tell is reported once."""
    both = Classifier([DataClass("Email", "low", "@", "mail")], refuse)
    assert found_in("a@b", "reqBody.mail", both) == ["Email"]


def test_unsupported_patterns_are_named_and_left_out() -> None:
    """A pattern that cannot be run is left out with a message that names its class; the others stay in force."""
    said: list[str] = []
    classes = [
        DataClass("Tricky", "low", "(?=a)b", "(a)\\1"),
        DataClass("Broken", "low", "("),
        DataClass("Good", "low", "good"),
    ]
    classifier = Classifier(classes, said.append)
    assert found_in("all good", classifier=classifier) == ["Good"]
    assert [("Tricky" in text or "Broken" in text) and "left out" in text for text in said] == [True] * 3
    assert "regex of 'Tricky'" in said[0]


@pytest.mark.parametrize("speed", [True, False])
def test_hostile_patterns_and_values(speed: bool) -> None:
    """A configured pattern of exponential kind over values made for it takes no noticeable time."""
    pytest.importorskip("re2")
    classifier = Classifier([DataClass("Evil", "low", r"^(([a-z])+.)+[A-Z]([a-z])+$")], refuse, speed)
    started = time.process_time()
    assert found_in("a" * 60_000, classifier=classifier) == []
    assert time.process_time() - started < 1.0


@given(st.text(st.sampled_from("0123456789- .ABCDXYZ<\n"), max_size=60))
def test_checksums_never_raise(text: str) -> None:
    """No text makes a checksum fail."""
    for check in (
        checksums.has_aadhaar,
        checksums.has_card,
        checksums.has_cpf,
        checksums.has_iban,
        checksums.has_mrz,
        checksums.has_vin,
    ):
        assert check(text) in (True, False)


@pytest.mark.parametrize(
    ("start", "length", "right"),
    [("DE", 22, True), ("DE", 21, False), ("DE", 24, False), ("NO", 15, True), ("NO", 16, False), ("ZZ", 22, False),
     ("US", 20, False), ("RU", 33, True), ("FR", 27, True), ("FR", 26, False), ("MT", 31, True)],
)  # fmt: skip
def test_ibans_have_their_countrys_length(start: str, length: int, right: bool) -> None:
    """Check digits that fit are not enough: the country must have IBANs, and of this length."""
    account = "1234567890" * 3
    numbers = (f"{start}{check:02}{account[: length - 4]}" for check in range(2, 99))
    number = next(number for number in numbers if checksums.iban(number))
    assert checksums.has_iban(number) == right
    assert checksums.has_iban(f"to {number} by noon") == right


@given(st.integers(10**11, 10**12 - 1))
def test_exactly_one_check_digit_fits(number: int) -> None:
    """For any number, exactly one last digit passes Luhn's check and exactly one passes Verhoeff's."""
    for check in (checksums.luhn, checksums.verhoeff):
        assert sum(check(f"{number}{digit}") for digit in range(10)) == 1


@given(st.integers(10**11, 10**12 - 1), st.integers(0, 10))
def test_verhoeff_notices_swapped_neighbours(number: int, place: int) -> None:
    """Verhoeff's check notices any two neighbouring digits that were swapped."""
    digits = str(number)
    valid = next(f"{digits[:-1]}{last}" for last in range(10) if checksums.verhoeff(f"{digits[:-1]}{last}"))
    swapped = valid[:place] + valid[place + 1] + valid[place] + valid[place + 2 :]
    assert swapped == valid or not checksums.verhoeff(swapped)
