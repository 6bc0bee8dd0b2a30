"""What the sample shop sells and whom it knows; all of it invented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Product:
    """Something to buy; `price` in euros."""

    title: str
    price: float

    def shown(self, number: int) -> dict[str, Any]:
        """As the API shows it."""
        return {"id": number, "title": self.title, "price": self.price, "inStock": number % 4 != 0}


@dataclass(frozen=True, slots=True)
class User:
    """A customer."""

    name: str
    password: str
    email: str
    phone: str
    address: str
    ssn: str


PRODUCTS = {
    100 + index: Product(title, price)
    for index, (title, price) in enumerate(
        [
            ("Teapot", 34.5),
            ("Kettle", 49.0),
            ("Green tea, 250 g", 12.9),
            ("Black tea, 250 g", 9.9),
            ("Tea strainer", 4.5),
            ("Cup, blue", 8.0),
            ("Cup, white", 8.0),
            ("Honey", 6.4),
            ("Tray", 22.0),
            ("Tea towel", 7.5),
        ]
    )
}

USERS = {
    user.name: user
    for user in (
        User("anna", "correct-horse", "anna@shop.example", "555-201-3344", "1 Mill Lane", "078-05-1120"),
        User("ben", "battery-staple", "ben@shop.example", "555-880-1212", "27 High Street", "219-09-9999"),
        User("chloe", "teapot-short", "chloe@mail.example", "555-410-7788", "3 Harbour Road", "457-55-5462"),
    )
}
