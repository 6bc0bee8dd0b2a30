"""Check digits: whether a text that looks like a card, an account or a document number can be one."""

from __future__ import annotations

import re

_CARD = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
_AADHAAR = re.compile(r"(?<![0-9])[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}(?![0-9])")
_CPF = re.compile(r"(?<![0-9])[0-9]{3}[-. ]?[0-9]{3}[-. ]?[0-9]{3}[-. ]?[0-9]{2}(?![0-9])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
_VIN = re.compile(r"(?<![A-Za-z0-9])[A-HJ-NPR-Za-hj-npr-z0-9]{17}(?![A-Za-z0-9])")
_MRZ = re.compile(r"[A-Z0-9<]{9}[0-9][A-Z<]{3}[0-9]{6}[0-9][MFX<][0-9]{6}[0-9][A-Z0-9<]{14}[0-9<][0-9]")
_MRZ_CARD = re.compile(r"[ACI][A-Z<][A-Z<]{3}([A-Z0-9<]{9}[0-9])[A-Z0-9<]{15}\s([0-9]{6}[0-9])[MFX<]([0-9]{6}[0-9])")
_NOT_ALNUM = re.compile(r"[^A-Za-z0-9]")


def has_card(text: str) -> bool:
    """Whether a 13 to 19 digit number in it passes Luhn's check (ISO/IEC 7812-1, annex B)."""
    return any(luhn(_digits(found)) for found in _CARD.findall(text))


def has_aadhaar(text: str) -> bool:
    """Whether a 12 digit number in it passes Verhoeff's check."""
    return any(verhoeff(_digits(found)) for found in _AADHAAR.findall(text))


def has_cpf(text: str) -> bool:
    """Whether an 11 digit number in it has a Brazilian CPF's two check digits."""
    return any(cpf(_digits(found)) for found in _CPF.findall(text))


def has_iban(text: str) -> bool:
    """Whether an account number in it has its country's length and passes the modulo 97 check of ISO 13616, also with
    words behind it."""
    return any(_iban_in(found) for found in _IBAN.findall(text))


def has_vin(text: str) -> bool:
    """Whether a 17 character vehicle number in it has the right ninth character (ISO 3779, 49 CFR 565)."""
    return any(vin(found.upper()) for found in _VIN.findall(text))


def has_mrz(text: str) -> bool:
    """Whether a travel document's machine-readable lines in it have their check digits (ICAO 9303, parts 4 and 5)."""
    passports = ((line[:10], line[13:20], line[21:28]) for line in _MRZ.findall(text))
    return any(all(map(mrz_field, found)) for found in (*passports, *_MRZ_CARD.findall(text)))


def luhn(digits: str) -> bool:
    """Luhn's sum, every second digit from the right doubled."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0


def verhoeff(digits: str) -> bool:
    """Verhoeff's check in the dihedral group D5; its permutation is applied once more for each place from the right."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        for _ in range(place % 8):
            value = _PERMUTED[value]
        check = _dihedral(check, value)
    return check == 0


_PERMUTED = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _dihedral(left: int, right: int) -> int:
    """The product in D5: 0 to 4 are rotations, 5 to 9 reflections."""
    if left < 5:
        return (left + right) % 5 if right < 5 else 5 + (left + right) % 5
    return 5 + (left - right) % 5 if right < 5 else (left - right) % 5


def cpf(digits: str) -> bool:
    """Both check digits, weights falling to 2; numbers of one repeated digit are never issued."""
    if len(set(digits)) == 1:
        return False
    for length in (9, 10):
        total = sum(int(digit) * (length + 1 - place) for place, digit in enumerate(digits[:length]))
        if total * 10 % 11 % 10 != int(digits[length]):
            return False
    return True


def _iban_in(found: str) -> bool:
    """The country says how long a number is; it ends with the text or before a blank."""
    length = _IBAN_LENGTHS.get(found[:2].upper(), 0)
    number = ""
    for group in found.upper().split(" "):
        number += group
        if len(number) >= length:
            break
    return len(number) == length and iban(number)


_IBAN_LENGTHS = {
    country: length
    for length, countries in (
        (15, "NO"),
        (16, "BE"),
        (18, "DK FI FK FO GL NL SD"),
        (19, "MK SI"),
        (20, "AT BA EE KZ LT LU MN XK"),
        (21, "CH HR LI LV"),
        (22, "BG BH CR DE GB GE IE ME RS VA"),
        (23, "AE GI IL IQ OM SO TL"),
        (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
        (25, "LY PT ST"),
        (26, "IS TR"),
        (27, "BI DJ FR GR IT MC MR SM"),
        (28, "AL AZ BY CY DO GT HN HU LB NI PL SV"),
        (29, "BR EG PS QA UA"),
        (30, "JO KW MU YE"),
        (31, "MT SC"),
        (32, "LC"),
        (33, "RU"),
    )
    for country in countries.split()
}  # of the IBAN registry (ISO 13616)


def iban(plain: str) -> bool:
    """The number with its first four characters moved to the end, letters as 10 to 35, leaves 1 modulo 97."""
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def vin(plain: str) -> bool:
    """The weighted sum modulo 11 against the ninth character, where X stands for ten."""
    total = sum(_vin_value(char) * weight for char, weight in zip(plain, _VIN_WEIGHTS, strict=True))
    return "0123456789X"[total % 11] == plain[8]


_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def _vin_value(char: str) -> int:
    if char.isdigit():
        return int(char)
    if char < "J":
        return ord(char) - ord("A") + 1
    return ord(char) - ord("J") + 1 if char < "S" else ord(char) - ord("S") + 2


def mrz_field(checked: str) -> bool:
    """A field and its check digit: weights 7, 3, 1, letters as 10 to 35, the filler as 0."""
    total = sum((0 if char == "<" else int(char, 36)) * (7, 3, 1)[place % 3] for place, char in enumerate(checked[:-1]))
    return str(total % 10) == checked[-1]


def _digits(text: str) -> str:
    return _NOT_ALNUM.sub("", text)
