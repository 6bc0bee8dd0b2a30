"""Pairs: a well-formed construct is found, and what has one of its signs and is innocent passes, or never blocks."""

from __future__ import annotations

import pytest

from metlo_otel.analysis.attacks import detect, inspect

PAIRS = {
    "COMMAND_EXECUTION": (
        ("x; sleep 8", "robots; sleep 8 hours"),
        ("1;w", "hunter2;w"),
        ("x';id", "ab\\;cd"),
        ("|id|", ".. |Python| image:: x"),
        ("whoami", "whoami is a band"),
        ("net view /domain", "net user experience"),
        ("uname -a", "uname of the father"),
        ("type C:\\Windows\\repair\\SAM", "type C for yes"),
        ("cat$u /etc$u/passwd$u", "US$5 a cat"),
        ("x;{cat,/etc/passwd}", "{cat, dog}"),
        ("$0<<<$'\\143'", "a <<< b"),
        ("CMD=$'id';$CMD", "CMD=id; the id"),
        ("{${sleep(20)}}", "{${price}}"),
        ("cmd=${@print(md5(31337))}", "cmd=${@name}"),
        ("eval('echo 1')", "eval is evil"),
        (";phpversion();", "the phpversion() function"),
        ("<?=`id`?>", '<?php echo "hi" ?>'),
        ("--exec=`id`", "use `id` here"),
        (';echo $((3482*7301));', "echo $((a+b))"),
        ('Ev al ("Ex"&"e"&"cute(""x"")', 'AT&T and "A"&"B"'),
    ),
    "SSTI": (
        ("{{config.items()}}", "{{config.title}}"),
        ("${class.getClassLoader()}", "${pageContext.request.contextPath}"),
        ("{{[].class.base.subclasses()}}", "{{ user.class }}"),
        ("{{ 'a'.toUpperCase() }}", "{{ 'a' }}"),
        ("{{self}}", "{{ selfie }}"),
        ('{{ get_user_file("/etc/passwd") }}', "{{ user_file }}"),
        ("<%= system('id') %>", "'<%s.%s' % (a, b)"),
        ('<#assign ex="freemarker.template.utility.Execute"?new()>', "my_template.hbs"),
        ("{{7*7}}", "pages {{3-9}} of it"),
    ),
    "LOG4SHELL": (
        ("${${::-j}${::-n}${::-d}${::-i}${::-r}${::-m}${::-i}://x.example}", "${${name}}"),
        ("${jndi:ldap://x.example/a}", "log4j ${jndi:ldap} explained"),
        ("$\\{jndi:ldap://x.example/a\\}", "$\\{name\\}"),
    ),
    "LDAP_INJECTION": (
        ("(&(uid=admin)(!(&(1=0)(userPassword=q))))", "(&(objectClass=user)(cn=john))"),
        ("userPassword:2.5.13.18:=123", "version 2.5.13.18: =123"),
    ),
    "CRLF": (
        ("%e5%98%8dSet-cookie%3ax=1", "\u560d\u7f57"),
        ("%2525%2530%2541Set-cookie:x=1", "%2525%2530"),
    ),
    "XXE": (
        ("<a>&xxe;</a>", "<a>&copy;</a>"),
        ('<x xsi:schemaLocation="http://a.example/"/>', '<x xsi:schemaLocation="http://a.example/ b.xsd"/>'),
        ('<xs:include namespace="http://a.example/"/>', "<include>http://a.example/</include>"),
        ("+ADwAIQ-DOCTYPE foo+AFs +ADwAIQ-ENTITY xxe SYSTEM +ACI-http://a.example+ACI +AD4AXQA+", "C+ADJ and +A1"),
    ),
    "NOSQLI": (("filter[price][$ne]=10", "filter[price][$gte]=10"), ("db.users.drop();", "the db.users table")),
    "DESERIALIZATION": (
        ('O:8:"stdClass":0:{}', "O:5 and a:2"),
        ("!!python/object/new:exec [x]", "!important !!python!!"),
        ('{"$type": "System.IO.FileInfo, System.IO.FileSystem"}', '{"type": "System.Circle"}'),
        ('{"@type": "com.sun.rowset.JdbcRowSetImpl"}', '{"@type": "Person"}'),
    ),
    "PROTOTYPE_POLLUTION": (
        ('{"__proto__": {"a": 1}}', "the __proto__ property of it"),
        ("constructor[prototype][a]=1", "constructor, prototype and a"),
        ("class.module.classLoader.x", "class.name"),
    ),
    "SCANNER": (
        ("sqlmap/1.8#stable (https://sqlmap.org)", "how do I use sqlmap?"),
        ("Nuclei - Open-source project (github.com/x)", "Nuclei - the plural of nucleus"),
        ("http://a1b2c3d4.oast.fun/", "http://toast.fun/"),
    ),
    "MAIL_INJECTION": (
        ("\nRCPT TO: a@b.example\n", "Mail from: Bob\nTo: Alice"),
        ("\r\nA1 LOGIN a b", "first\nA1 paper"),
        ("a@b.example\nBcc: c@d.example", "Dear all\nFrom me"),
    ),
    "REQUEST_SMUGGLING": (("0\r\n\r\nGET /a HTTP/1.1\r\nHost: b\r\n", "GET /a HTTP/1.1"),),
    "SSI": (('<!--#exec cmd="ls"-->', "<!-- #exec is not allowed -->x"), ("<!--#printenv-->", "<!-- # note -->")),
    "RFI": (("http://a.example/c99.php", "http://a.example/contact.php"),),
    "JWT_ALG_NONE": (("eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"),),
    "NULL_BYTES": (("file.php%00.png", "%DD%E0%E4c%BD%8A%F2/%E0%00%A6%D5"),),
}  # fmt: skip
LISTED = [(category, attack, innocent) for category, pairs in PAIRS.items() for attack, innocent in pairs]


@pytest.mark.parametrize(("category", "attack", "innocent"), LISTED)
def test_a_construct_and_its_near_miss(category: str, attack: str, innocent: str) -> None:
    """The construct is reported under its category, and what only looks like it under none."""
    assert category in {each.category for found in detect([("reqBody.a", attack)]).values() for each in found}
    assert detect([("reqBody.a", innocent)]) == {}


@pytest.mark.parametrize(
    "value",
    [
        "C:\\Windows\\System32\\drivers\\etc\\hosts",
        "..\\..\\shared\\config.json",
        ".ssh/id_rsa.pub",
        "/etc/nginx/nginx.conf",
        "http://192.168.0.12:9000/webhook",
        "PHP: echo $_GET['id']; prints nothing; <?php phpinfo(); ?> works",
        "source <(kubectl completion bash)",
    ],
)
def test_what_may_be_innocent_blocks_nobody(value: str) -> None:
    """What users of some apps write is reported at most."""
    assert {each.confidence for each in inspect(value)} <= {"low"}


@pytest.mark.parametrize("key", ["reqBody.request.url", "reqBody.csp-report.document-uri", "reqQuery.next"])
def test_a_developers_own_server(key: str) -> None:
    """What an error or policy report says of a page on a developer's machine is none; its odd spelling is one."""
    assert detect([(key, "http://localhost:3000/checkout?step=2")]) == {}
    assert detect([(key, "http://LOCALHOST:3000/")]) != {}
    assert detect([(key, "http://localhost:6379/")]) != {}


def test_headers_of_the_apps_own_and_cookies() -> None:
    """Paths and commands count there, also of little confidence; in standard headers only what is certain."""
    low = "/var/log/auth.log"
    assert set(detect([("reqHeaders.X-File", low), ("reqHeaders.Cookie", f"f={low}")])) == {
        "reqHeaders.X-File",
        "reqHeaders.Cookie",
    }
    assert detect([("reqHeaders.Link", low), ("reqHeaders.User-Agent", low)]) == {}
    searched = "https://www.google.com/search?q=%2Fetc%2Fpasswd+explained+%27+or+1%3D1+--"
    assert detect([("reqHeaders.Referer", searched)]) == {}
    assert detect([("reqHeaders.Referer", "https://a.example/?q=../../../etc/passwd")]) != {}


@pytest.mark.parametrize(
    ("agent", "found"),
    [
        ("sqlmap/1.8.2#stable (https://sqlmap.org)", True),
        ("Mozilla/5.00 (Nikto/2.1.6) (Evasions:None)", True),
        ("Fuzz Faster U Fool v2.1.0-dev", True),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0 Safari/537.36", False),
        ("python-httpx/0.27.0", False),
        ("curl/8.5.0", False),
    ],
)
def test_user_agents(agent: str, found: bool) -> None:
    """A scanner's own name is certain, a client's is nothing."""
    said = detect([("reqHeaders.User-Agent", agent)])
    assert (
        [(each.category, each.confidence) for each in said.get("reqHeaders.User-Agent", [])] == [("SCANNER", "high")]
    ) == found
    assert bool(said) == found
