"""The words of SQL by the part they play when a value is read as the middle of a statement."""

from __future__ import annotations

import re

CONNECT = frozenset({"and", "or", "xor", "where", "having", "when", "on", "&&", "if"})
COMPARE = frozenset({"like", "rlike", "regexp", "ilike", "glob", "between", "sounds", "match", "contains"})
ARITHMETIC = frozenset({"div", "mod", "collate", "escape", "at", "over", "is", "in"})
UNARY = frozenset("not distinct all any some binary case exists then else top prior".split())
COMPARISONS = frozenset({"=", "<", ">", "<=", ">=", "<>", "!=", "<=>", "==", "!", "@>", "<@"})
LITERAL = frozenset({"null", "true", "false"})
SETS = frozenset({"union", "intersect", "except", "minus"})
LISTS = frozenset({"from", "join", "into", "using"})
STATEMENTS = frozenset(
    "select insert update delete drop alter create truncate exec execute call declare waitfor begin"
    " shutdown with merge grant copy".split()
)

# Functions that make a statement slow, so that an attacker can tell true from false by the clock.
SLOW = frozenset(
    "sleep benchmark pg_sleep pg_sleep_for dbms_lock.sleep dbms_session.sleep dbms_pipe.receive_message"
    " randomblob generate_series regexp_substring waitfor user_lock.sleep sleep_ms get_lock".split()
)
# Functions that put data into an error message, a file or a name look-up.
LEAKING = frozenset(
    "extractvalue updatexml xmltype ctxsys.drithsx.sn utl_inaddr.get_host_address"
    " utl_inaddr.get_host_name utl_http.request httpuritype dbms_ldap.init dbms_utility.sqlid_to_sqlhash"
    " dbms_xmlgen.getxml gtid_subset gtid_subtract json_keys multipoint polygon linestring load_file"
    " xp_cmdshell xp_dirtree xp_fileexist xp_regread sys_eval sys_exec pg_read_file lo_import lo_export"
    " dblink query_to_xml database_to_xml openrowset opendatasource load_extension readfile writefile"
    " analyse dbms_java.runjava utl_file.fopen fn_xe_file_target_read_file fn_trace_gettable"
    " fn_get_audit_file crypt_key procedure_analyse".split()
)
# Functions that take text apart or put it together one character at a time.
BUILDING = frozenset(
    "char chr nchar ascii unicode ord mid substr substring substring_index concat concat_ws"
    " group_concat string_agg hex unhex elt make_set iif if ifnull nullif coalesce cast convert count"
    " length len char_length bit_length user version database schema current_user session_user"
    " system_user db_name user_name host_name floor rand round randstr exp row upper lower lcase ucase"
    " left right md5 sha1 quote decode to_char to_number locate instr position find_in_set field"
    " greatest least repeat replicate reverse bin oct conv inet_aton listagg wm_concat json_extract"
    " sqlite_version row_count last_insert_id is_srvrolemember has_dbaccess object_id col_name"
    " suser_name tablespace connection_id procedure isnull".split()
)

FUNCTIONS = SLOW | LEAKING | BUILDING

SYSTEM_TABLE = re.compile(
    r"(?:information_schema|mysql|performance_schema|pg_catalog|sysibm|syscat|sys|domain|master|msdb"
    r"|rdb\$\w+)\b"
    r"|pg_(?:user|shadow|tables|class|database|authid|roles|stat)|sqlite_(?:master|schema|temp_master)"
    r"|(?:all|user|dba)_(?:users|tables|tab_columns|objects|views|role_privs)|v\$\w|msys\w+"
    r"|sys(?:objects|columns|users"
    r"|databases|logins|processes|master|tables|colums)|dual\b"
)

_NAME = r"[\w.$\[\]`\"#@]{1,128}"
_KIND = (
    r"(?:table|database|schema|view|user|login|role|index|procedure|function|trigger|tablespace"
    r"|alias|sequence"
    r"|extension|server|assembly|column)"
)
_MODIFIERS = r"(?:(?:low_priority|high_priority|delayed|quick|ignore)\s+)*"
_TYPE = "int|integer|bigint|n?varchar2?|n?char|text|number|numeric|cursor|date|table|exception"
STATEMENT_PATTERN = (
    rf"(?:drop|alter|create)\s+(?:or\s+replace\s+|temporary\s+"
    rf"|temp\s+)?{_KIND}\s+(?:if\s+(?:not\s+)?exists\s+)?{_NAME}"
    rf"|truncate\s+table\s+{_NAME}|insert\s+{_MODIFIERS}into\s+{_NAME}\s*(?:\(|values\b|select\b)"
    rf"|update\s+{_MODIFIERS}{_NAME}\s+set\s+{_NAME}\s*=|delete\s+{_MODIFIERS}from\s+{_NAME}\s*(?:$|;|--|\#|where\b)"
    rf"|exec(?:ute)?\s*\(\s*(?:['\"@\d(]|\w+\s*[(+])|exec(?:ute)?\s+(?:immediate\b|as\s+(?:user|login|caller|owner)\b|master\b|(?:{_NAME}\.)?[xs]p_\w|@)"
    rf"|call\s+{_NAME}\s*\(|declare\s+(?:@|\w+\s+(?:{_TYPE})\b)|waitfor\s+(?:delay|time)\s*['\"@]|begin\s+{_NAME}\s*\("
    rf"|shutdown\b(?:\s+with\s+nowait)?\s*(?:$|;|--|\#)|copy\s+(?:\(|{_NAME}\s+(?:from|to)\b)"
    rf"|grant\s+\w+(?:\s+\w+)?\s+(?:on|to)\b"
    rf"|(?:load\s+data|backup\s+database|restore\s+database|reconfigure|use\s+master)\b|set\s+@\w+\s*="
    rf"|attach\s+database\b|handler\s+{_NAME}\s+(?:open|read)\b|merge\s+into\b"
    r"|if\s*\(.{0,200}?\b(?:select|sleep|waitfor|delay|exec|shutdown|drop|benchmark)\b"
    rf"|begin\s+(?:if\s*\(|declare\b)|do\s+(?:sleep\s*\(|\$\$)"
)
STATEMENT = re.compile(STATEMENT_PATTERN)
ODD_STATEMENT = re.compile(
    rf"(?:insert|update|delete|replace)\s+(?:low_priority|high_priority|delayed|quick)\s+(?:into\s+|from\s+)?{_NAME}"
    rf"|exec(?:ute)?\s+as\s+(?:user|login)\s*=|declare\s+@{_NAME}?\s+\w"
    rf"|[\w'\")-]{{1,20}}\s+exec(?:ute)?\s+(?:master\b|[xs]p_\w)|(?:drop|truncate)\s+table\s+{_NAME}\s*;?\s*(?:--|\#)"
)
"""Statements that no other program has, and no prose."""
