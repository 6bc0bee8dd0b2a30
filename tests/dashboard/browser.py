"""A browser, reduced to cookies and the headers that say where a request was made."""

from __future__ import annotations

import requests

PASSWORD = "correct horse battery"


class Browser:
    """Speaks to a running collector's dashboard."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def get(self, path: str, follow: bool = True) -> requests.Response:
        return self.session.get(self.url + path, allow_redirects=follow, timeout=10)

    def post(
        self, path: str, follow: bool = True, headers: dict[str, str] | None = None, **fields: object
    ) -> requests.Response:
        """Send a form as a page of the dashboard does; `headers` instead of what tells that it is one."""
        sent = {"Sec-Fetch-Site": "same-origin"} if headers is None else headers
        return self.session.post(self.url + path, data=fields, headers=sent, allow_redirects=follow, timeout=10)

    def log_in(self, password: str = PASSWORD, name: str = "ada") -> requests.Response:
        return self.post("/dashboard/login", follow=False, name=name, password=password)

    def cookie(self) -> str:
        """The session cookie's value."""
        return next(cookie.value or "" for cookie in self.session.cookies if cookie.name.startswith("metlo_session"))
