"""Accounts: how they are made, what each role may do, sessions and tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import requests
from starlette.routing import Route

from metlo_otel.cli import main
from metlo_otel.collector import queries
from metlo_otel.collector.accounts import ADMIN, ANALYST, ROLES, VIEWER, add_user, are_alone, list_users
from metlo_otel.collector.dashboard.access import Access
from metlo_otel.collector.dashboard.app import make_pages
from metlo_otel.collector.dashboard.passwords import hash_password
from metlo_otel.collector.dashboard.roles import needed_role
from metlo_otel.collector.keys import list_keys
from metlo_otel.collector.server import RunningCollector
from tests.collector.client import KEY, Client, make_trace
from tests.collector.kept import started_before
from tests.collector.otlp import document, server
from tests.dashboard.browser import PASSWORD, Browser

OWN = {role: f"the password of the {role}" for role in ROLES}


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    """A collector with an account of each role."""
    with RunningCollector(started_before(tmp_path_factory.mktemp("staffed")), KEY) as running:
        for role in ROLES:
            work = partial(add_user, name=role, role=role, who="test", password=hash_password(OWN[role]))
            running.store.change(work).result()
        yield running


def _browser(collector: RunningCollector, role: str) -> Browser:
    browser = Browser(collector.url)
    assert browser.log_in(OWN[role], role).status_code == 303
    return browser


@pytest.fixture(scope="module")
def viewer(staffed: RunningCollector) -> Browser:
    return _browser(staffed, VIEWER)


@pytest.fixture(scope="module")
def analyst(staffed: RunningCollector) -> Browser:
    return _browser(staffed, ANALYST)


@pytest.fixture(scope="module")
def admin(staffed: RunningCollector) -> Browser:
    return _browser(staffed, ADMIN)


def test_from_one_password_to_accounts(collector: RunningCollector, browser: Browser) -> None:
    """Nothing changes until the first admin is made; from then on the password of all opens nothing, the sessions that
    it opened have ended, and the log names accounts.
    """
    assert "everybody shares one password" in browser.get("/dashboard/users").text
    browser.post("/dashboard/users", name="vera", role="viewer")
    assert Browser(collector.url).log_in(name="grace").status_code == 303
    made = browser.post("/dashboard/users", name="ada", role="admin")
    password = re.search(r"shown this once:\s*<code>([^<]+)</code>", made.text)
    assert password is not None
    assert browser.get("/dashboard/traces").url.endswith("/dashboard/login?next=%2Fdashboard%2Ftraces")
    for name in ("ada", "grace", "vera", ""):
        assert Browser(collector.url).log_in(PASSWORD, name).status_code == 403
    assert browser.log_in(password[1], "ada").status_code == 303
    browser.post("/dashboard/rules/watch", watching="on")
    (entry,) = collector.store.read(partial(queries.find_audit, parameters={"action": "rules.watch"})).items
    assert entry["who"] == "ada (127.0.0.1)"
    assert Access(collector.store).ensure_password(PASSWORD) is None
    assert Browser(collector.url).log_in(PASSWORD, "grace").status_code == 403


def _routes(collector: RunningCollector) -> list[tuple[str, str]]:
    """All that the dashboard answers, as method and path."""
    found = []
    for route in make_pages(collector.store, Access(collector.store)).routes:
        assert isinstance(route, Route)
        path = re.sub(r"\{id:row\}|\{id\}", "999999", route.path).replace("{name}", "none")
        found += [(method, f"/dashboard{path}") for method in sorted(route.methods or ()) if method != "HEAD"]
    return found


_OPEN = ("/dashboard/login", "/dashboard/static/none")


def test_a_viewer_changes_nothing(staffed: RunningCollector, viewer: Browser) -> None:
    """Every page and every form that there is: a viewer reads pages but those of admins, and is refused all changes but
    those of the own account.
    """
    tried = [each for each in _routes(staffed) if each[1] not in _OPEN and each[1] != "/dashboard/logout"]
    assert len(tried) > 40
    for method, path in tried:
        answer = viewer.get(path, follow=False) if method == "GET" else viewer.post(path, follow=False)
        own = path.startswith(("/dashboard/account", "/dashboard/theme", "/dashboard/zone"))
        admins = path.startswith(("/dashboard/settings", "/dashboard/users", "/dashboard/audit", "/dashboard/notific"))
        refused = not own and (admins or method != "GET")
        assert (answer.status_code == 403) == refused, (method, path, answer.status_code)
    assert "This is for the role analyst; yours is viewer." in viewer.post("/dashboard/rules").text


def test_an_analyst(staffed: RunningCollector, analyst: Browser) -> None:
    """Changes rules, alerts and specs; not settings, users, nor what content agents send."""
    for path in ("settings", "users", "audit"):
        assert analyst.get(f"/dashboard/{path}").status_code == 403
    for path in ("settings/keys", "users", "users/change", "endpoints/1/capture", "notifications"):
        assert analyst.post(f"/dashboard/{path}").status_code == 403
    assert analyst.post("/dashboard/rules/block", kind="user", value="mallory").status_code == 200
    assert analyst.post("/dashboard/alerts", status="resolved").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/dashboard/x"), ("POST", "/dashboard/new"), ("PUT", "/dashboard/endpoints/1")]
)
def test_what_nobody_named_is_for_admins(method: str, path: str) -> None:
    """A change that somebody adds and forgets to name is open to no more people than it should be."""
    assert needed_role(method, path) == ADMIN
    assert needed_role("POST", "/dashboard/rulesx") == ADMIN


_LISTS = ("endpoints", "traces", "actors")


def test_pages_show_what_one_may_do(staffed: RunningCollector, viewer: Browser, analyst: Browser) -> None:
    """A viewer sees no button that would be refused."""
    agent = Client(staffed.url)
    found = {"block": False, "attackDetections": {"reqQuery.q": ["SQLI"]}}
    agent.post([make_trace(), make_trace(processedTraceData=found)])  # an attack opens its alert again
    agent.session.close()
    one_of = {
        page: re.findall(rf"/dashboard/({page}/\d+)", viewer.get(f"/dashboard/{page}").text)[0] for page in _LISTS
    }
    forms = re.compile(r'<form[^>]*method="post"[^>]*action="(/dashboard/[^"]+)"')
    for path in ("", *one_of.values(), "traces", "attacks", "actors", "rules", "specs", "account"):
        for browser, role in ((viewer, VIEWER), (analyst, ANALYST)):
            shown = browser.get(f"/dashboard/{path}")
            assert shown.status_code == 200, path
            allowed = {f"/dashboard/{one_of['endpoints']}/capture"}  # a form without a button, which says what is set
            actions = set(forms.findall(shown.text)) - allowed
            assert all(needed_role("POST", action) in ROLES[: ROLES.index(role) + 1] for action in actions), actions
    assert "/dashboard/users" not in viewer.get("/dashboard/").text
    assert ">Resolve<" in analyst.get("/dashboard/alerts").text
    assert ">Resolve<" not in viewer.get("/dashboard/alerts").text


def test_sessions_are_listed_and_ended(staffed: RunningCollector, viewer: Browser, admin: Browser) -> None:
    """One's own on one's own account, all of them for admins; an ended one is none with the next request."""
    other = _browser(staffed, VIEWER)
    other.session.headers["User-Agent"] = "x"
    ids = re.findall(r"/dashboard/account/sessions/(\d+)/end", viewer.get("/dashboard/account").text)
    assert len(ids) >= 2
    admins = set(re.findall(r"/dashboard/users/sessions/(\d+)/end", admin.get("/dashboard/users").text))
    assert set(ids) < admins
    foreign = (admins - set(ids)).pop()
    assert viewer.post(f"/dashboard/account/sessions/{foreign}/end").status_code == 404
    assert admin.get("/dashboard/account").status_code == 200
    newest = max(ids, key=int)
    assert admin.post(f"/dashboard/users/sessions/{newest}/end").status_code == 200
    assert other.get("/dashboard/traces", follow=False).status_code == 303
    assert viewer.get("/dashboard/traces", follow=False).status_code == 200


def test_a_new_password_ends_the_other_sessions(staffed: RunningCollector) -> None:
    """Of the account alone, and only who knows the one before sets it."""
    add = partial(add_user, name="pat", role=VIEWER, who="test", password=hash_password(PASSWORD))
    staffed.store.change(add).result()
    one, two = Browser(staffed.url), Browser(staffed.url)
    assert [each.log_in(name="pat").status_code for each in (one, two)] == [303, 303]
    assert one.post("/dashboard/account/password", old="wrong", new="another one").status_code == 400
    assert one.post("/dashboard/account/password", old=PASSWORD, new="short").status_code == 400
    assert one.post("/dashboard/account/password", old=PASSWORD, new="another one").status_code == 200
    assert one.get("/dashboard/traces", follow=False).status_code == 200
    assert two.get("/dashboard/traces", follow=False).status_code == 303
    assert Browser(staffed.url).log_in("another one", "pat").status_code == 303


def test_tokens_with_scopes(staffed: RunningCollector, viewer: Browser, admin: Browser) -> None:
    """A token reads what it is for; it is listed, revoked by its owner, and not valid once the account is disabled."""
    assert viewer.post("/dashboard/account/tokens", name="none").status_code == 400
    made = viewer.post("/dashboard/account/tokens", name="grafana", scope=["metrics", "endpoints", "root"])
    token = re.search(r"metlo-[\w-]{40,}", made.text)
    assert token is not None

    def read(path: str) -> int:
        headers = {"Authorization": f"Bearer {token[0]}"}
        staffed.store.keys.refresh()
        return requests.get(staffed.url + path, headers=headers, timeout=10).status_code

    assert [read(path) for path in ("/metrics", "/api/v1/endpoints", "/api/v1/traces", "/api/v1/traces/1")] == [
        200,
        200,
        403,
        403,
    ]
    assert "token of viewer" in admin.get("/dashboard/settings").text
    (number,) = re.findall(r"/dashboard/account/tokens/(\d+)/revoke", viewer.get("/dashboard/account").text)
    assert admin.post(f"/dashboard/account/tokens/{number}/revoke").status_code == 404
    admin.post("/dashboard/users/change", name="viewer", what="disabled")
    assert read("/metrics") == 401
    admin.post("/dashboard/users/change", name="viewer", what="enabled")
    assert read("/metrics") == 200
    back = _browser(staffed, VIEWER)
    back.post(f"/dashboard/account/tokens/{number}/revoke")
    assert read("/metrics") == 401
    viewer.session.cookies.update(back.session.cookies)


def test_hosts_that_are_not_ours(staffed: RunningCollector, analyst: Browser, viewer: Browser) -> None:
    """An analyst says whose a host is, a viewer looks; the page of endpoints tells how many nobody has said it of."""
    agent, foreign = Client(staffed.url), make_trace()
    foreign["request"]["url"]["host"] = "<b>evil</b>.example"
    agent.post([foreign, make_trace()])
    agent.session.close()
    assert "hosts: yours?" in analyst.get("/dashboard/endpoints").text
    assert "<b>evil" not in analyst.get("/dashboard/hosts").text
    assert '<button name="own"' not in viewer.get("/dashboard/hosts").text
    assert analyst.post("/dashboard/hosts", host="x", own="perhaps").status_code == 400
    assert analyst.post("/dashboard/hosts", host="<b>evil</b>.example", own="no").status_code == 200
    assert analyst.post("/dashboard/hosts", host="shop.example", own="yes").status_code == 200
    assert "hosts: yours?" not in analyst.get("/dashboard/endpoints").text
    assert "evil" not in analyst.get("/dashboard/endpoints").text


def test_the_last_admin_stays(staffed: RunningCollector, admin: Browser) -> None:
    """Nobody can shut everybody out."""
    for what in ("removed", "disabled", "role"):
        answer = admin.post("/dashboard/users/change", name="admin", what=what, role="viewer")
        assert (answer.status_code, "is the only admin" in answer.text) == (400, True)


def test_accounts_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Made before the first start, or beside a collector that runs; the password is printed once and opens it."""
    path = str(tmp_path / "new.db")

    def run(*arguments: str) -> str:
        assert main(["users", arguments[0], "--db", path, *arguments[1:]]) == 0
        return capsys.readouterr().out

    password = run("add", "root", "--role", "admin").rpartition(" ")[2].strip()
    with RunningCollector(path, KEY, PASSWORD) as collector:
        assert collector.store.read(are_alone)
        browser = Browser(collector.url)
        assert browser.log_in(PASSWORD).status_code == 403
        assert browser.log_in(password, "root").status_code == 303
        run("add", "vera@example.com", "--oidc")
        assert main(["users", "add", "--db", path, "root"]) == 2
        assert main(["users", "rm", "--db", path, "root"]) == 2
        assert "is the only admin" in capsys.readouterr().err
        (session,) = [json.loads(line) for line in run("sessions", "--json").splitlines()]
        assert (session["name"], session["address"]) == ("root", "127.0.0.1")
        run("end", str(session["id"]))
        assert browser.get("/dashboard/traces", follow=False).status_code == 303
        run("role", "vera@example.com", "analyst")
        run("disable", "vera@example.com")
        fresh = run("password", "root").rpartition(" ")[2].strip()
        assert browser.log_in(password, "root").status_code == 403
        assert browser.log_in(fresh, "root").status_code == 303
        listed = {each["name"]: each for each in (json.loads(line) for line in run("list", "--json").splitlines())}
        assert listed["vera@example.com"] | {"made": 0} == {
            "name": "vera@example.com",
            "role": "analyst",
            "way": "OpenID Connect",
            "enabled": False,
            "made": 0,
            "lastLogin": None,
        }
        run("rm", "vera@example.com")
        assert [user.name for user in collector.store.read(list_users)] == ["root"]


def test_behind_a_trusted_proxy(tmp_path: Path) -> None:
    """Limits and the log go by the client that the proxy names; nobody else's word counts."""
    with RunningCollector(started_before(tmp_path), KEY, proxies=["127.0.0.1"]) as collector:

        def guess(client: str, password: str = "guess") -> int:
            headers = {"Sec-Fetch-Site": "same-origin", "X-Forwarded-For": f"10.9.9.9, {client}"}
            return Browser(collector.url).post("/dashboard/login", False, headers, password=password).status_code

        assert [guess("203.0.113.7") for _ in range(6)] == [403] * 5 + [429]
        assert guess("203.0.113.8", PASSWORD) == 303
        (entry,) = collector.store.read(partial(queries.find_audit, parameters={"action": "login"})).items
        assert entry["who"] == "admin (203.0.113.8)"
    with RunningCollector(started_before(tmp_path), KEY) as collector:
        assert guess("203.0.113.9", PASSWORD) == 303
        entries = collector.store.read(partial(queries.find_audit, parameters={"action": "login"})).items
        assert entries[0]["who"] == "admin (127.0.0.1)"


def test_keys_that_are_bound(collector: RunningCollector, browser: Browser, agent: Client) -> None:
    """A key for some hosts sends traces of these alone; of a batch the others are refused, with their place."""
    made = browser.post("/dashboard/settings/keys", name="shop", hosts="shop.example, *.shop.example")
    key = re.search(r"metlo-[\w-]{40,}", made.text)
    assert key is not None
    assert "of shop.example, *.shop.example" in made.text
    collector.store.keys.refresh()
    agent.session.headers["Authorization"] = key[0]
    foreign, below = make_trace("/stolen"), make_trace("/below")
    foreign["request"]["url"]["host"], below["request"]["url"]["host"] = "evilshop.example", "eu.shop.example"
    answer = agent.post([make_trace(), foreign, below])
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, 1)
    assert (answer.json()["problems"][0]["index"], answer.json()["problems"][0]["where"]) == (1, "request.url.host")
    assert {item["host"] for item in agent.items("endpoints")} == {"shop.example", "eu.shop.example"}
    spans = document(server(), server(server__address="evil.example"))
    told = agent.session.post(f"{agent.url}/v1/traces", json=spans, timeout=10).json()["partialSuccess"]
    assert (told["rejectedSpans"], "not for 'evil.example'" in told["errorMessage"]) == ("1", True)
    assert {item["host"] for item in agent.items("endpoints")} == {"shop.example", "eu.shop.example"}
    made = browser.post("/dashboard/settings/keys", name="till", services="till, billing")
    assert "of the service till, billing" in made.text
    (kept,) = [key.grant for key in collector.store.read(list_keys) if key.name == "till"]
    assert kept.services == ("till", "billing")
    wrong = browser.post("/dashboard/settings/keys", name="x", hosts="shop example/*")
    assert (wrong.status_code, "a host is a name such as" in wrong.text.lower()) == (400, True)
