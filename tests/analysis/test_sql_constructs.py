"""SQL injection by its grammar: each kind is found, and what only looks like it is not."""

from __future__ import annotations

import itertools
import time

import pytest

from metlo_otel.analysis.attacks import inspect
from metlo_otel.analysis.detectors.sql_facts import BARE, GOES_ON, LEFT, strongest
from metlo_otel.analysis.detectors.sql_sentences import sentence
from metlo_otel.analysis.detectors.sql_tokens import folded

CERTAIN = {
    "union with a select, without a quote": (
        "1 union select password from users",
        "-1 UNION ALL SELECT email FROM members WHERE id=1",
        "1/**/union/**/select/**/password/**/from/**/users",
        "1\nunion\nselect\nname\nfrom\nstaff",
        "1 union select `password` from `users`",
        "1 union+/*!select*/ (1),(2),(3)",
        "x' union select password from users--",
        "1 limit 1,1 union select 1,2",
        "/*!UNION*/ /*!SELECT*/ 1",
    ),
    "operator and sub-select": (
        "1 or 1=(select secret from t)",
        "1 and (select password from users limit 1)='a'",
        "1-(select 1 from dual)",
        "1]-(select 0 where 1=2 union select 3)|[1",
        "'||(select password from users)||'",
        "foo' and id in (select id from users) --",
    ),
    "call that waits behind an operator, or alone": (
        "||pg_sleep(5)--",
        "&&SLEEP(5)#",
        "pg_sleep(5)",
        "BENCHMARK(1000000,MD5('A'))",
        ",(select * from (select(sleep(10)))a)",
        "SLEEP(5)='",
        "order by sleep(5)",
        "name[0 ;select sleep(8);;#",
        "begin dbms_pipe.receive_message('a',5); end;",
    ),
    "odd statements": (
        "delete low_priority from users where 1=1",
        "1; delete low_priority quick ignore from users where 1=1",
        "execute as login='sa'",
        "1 exec sp_who",
        "drop table users--",
        "declare @s varchar(22) select @s = 0x77 exec(@s)",
    ),
    "choice by a comparison": ("1 IIF(1=1,1,2)", "(CASE WHEN 1=1 THEN 1 ELSE 2 END)"),
    "test of all rows": ("1 or name like '%'", "1 or username is not null", "1 or a=a", " OR x=x-- ", "1 or 1 like 1"),
    "other ways out": ("1$$ or 1=1--", "1] or 1=1--", "1*/ or 1=1 /*", r"x\' or 1=1 -- ", 'a" or ""b""=""b'),
    "puzzles of texts": ("' or ''-'", "' or ''^'", "'||'a'='a"),
    "look-alikes and letters of no width": (
        "1\u2032) and '1\u2032='1\u2013",
        "\u2019 or 1=1 --",
        "1 un\u200bion sel\u200bect 1,2",
        "1 uni/**/on select 1,2",
        "1\x01or\x0b1=1",
        "1' or 1.e(1) or '1'='1",
    ),
    "columns counted": (" ORDER BY 5 ", "order by 7-- ", "1 order by 10#"),
}
QUIET = (
    "the union of workers will select one delegate from each region",
    "credit union select members",
    "2 or 3 rooms, with a view",
    "1 and 2 and 3",
    "please order by phone",
    "group by age",
    "select all that apply from the list below",
    "Select a seat (select one) and continue",
    "robots; sleep 8 hours",
    "sleep(8 hours)",
    "benchmark (2024)",
    "where is it, and is it not true that it works",
    "case closed (when it rains, it pours) in the end",
    "5 < 6 and 7 > 3",
    "- Declare a variable, `swapped`, that indicates if any values were swapped",
    "insert your card, delete nothing from it",
    "x[1] and y[2] differ",
    "don\u2019t say \u201cyes\u201d \u2013 or do",
    "SELECT name FROM users WHERE age > 21",
    "the girls' and the boys' rooms",
    'The "||" and "&&" operators take one argument on each side.',
    "if (a) if (b) if (c)",
)
NOT_CERTAIN = (
    "writefile(lines, 'file')",
    "if (pos >= 10 && pos <= 14) tag = 3;",
    "exec 'digraph'",
    "The exploit is ' OR '1'='1 - my teacher says prepared statements stop it. True?",
    "\\WhY>]p\"CQzwTT_Ssa]'#;",
    'const at = args.indexOf("--");',
    "sleep(5)",
    "order by 5",
    "union select",
    "convert(int,(select top 1 name from staff))",
    "1 or 5 in (5,6)",
)


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in CERTAIN.items() for value in values])
def test_constructs_are_certain(kind: str, value: str) -> None:
    """A construct that no prose holds is certain, whatever stands around its words."""
    assert [(each.category, each.confidence) for each in inspect(value) if each.category == "SQLI"] == [
        ("SQLI", "high")
    ], kind


@pytest.mark.parametrize("value", QUIET)
def test_look_alikes_are_no_injection(value: str) -> None:
    """Words of SQL in prose, in code and in a statement that somebody shows are no injection."""
    assert not [each for each in inspect(value) if each.category == "SQLI"]


@pytest.mark.parametrize("value", NOT_CERTAIN)
def test_nobody_is_shut_out_for_these(value: str) -> None:
    """A question about an attack, a password, code: at most worth a report."""
    assert not [each for each in inspect(value) if each.category == "SQLI" and each.confidence == "high"]


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("1 union select password from users", "nUSwFw"),
        ("1 and (select 1 from dual)='a'", "n&q=s"),
        ("1 or 1=1 -- ", "n&nTnC"),
        ("a=a", "wTw"),
        ("1 - -+2", "non"),
        ("if(1=1,sleep(5),0)", "Q"),
        ("case when 1=1 then 2 else 3 end", "c"),
        ("(((1)))=(1)", "n=n"),
        ("nothing that one would ever call short", "wwww"),
    ],
)
def test_sentences(text: str, letters: str) -> None:
    """A text becomes one letter for each token, brackets what they yield, and ends where it is prose."""
    assert sentence(text) == letters


def test_folding_leaves_ordinary_texts_alone() -> None:
    """Accents, tabs and new lines stay; only what databases skip goes."""
    assert folded("caf\u00e9\ta\nb, 1.5e3 and x.example") == "caf\u00e9\ta\nb, 1.5e3 and x.example"


def test_no_sentence_takes_long() -> None:
    """Whatever repeats to the limit of a sentence, all patterns together take less than 20 ms of CPU time."""
    letters = "nNspwvyqZQct&=To!SUAFHC,;x"
    slowest = 0.0
    for unit in map("".join, itertools.product(letters, repeat=2)):
        text = (unit * 60)[:119] + "x"
        began = time.thread_time()
        for facts in (BARE, GOES_ON, LEFT):
            strongest(text, facts)
        slowest = max(slowest, time.thread_time() - began)
    assert slowest < 0.02
