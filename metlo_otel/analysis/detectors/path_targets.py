"""The files that systems keep for themselves: what an attacker asks for by its whole name."""

from __future__ import annotations

import re

# Where systems keep what an attacker wants to read, by the end or the middle of a path.
# Every alternative begins with a letter of its own, so that `re` need not try each of them at each place.
_UNIX = re.compile(
    r"etc(?<![\w.]etc)/{1,9}(?:passwd|shadow|group|hosts|issue|motd|fstab|sudoers|crontab|mysql/|ssh/|apache2?/|httpd/|nginx/"
    r"|php|init\.d|cron|rc\.|pam\.|samba|vsftpd|postfix|resolv|network|hostname|profile|os-release|redhat-|security/|my\.cnf"
    r"|[\w-]{1,30}/[\w./-]{0,80}\.(?:conf|cnf|cfg|key|pem)$)"
    r"|proc(?<!\wproc)/(?:self|\d+|version|cmdline|cpuinfo|net|mounts)\b"
    r"|var(?<![a-z_]var)/(?:log/(?:apache|httpd|nginx|auth|messages|syslog|secure|mail|vsftpd)"
    r"|lib/(?:mlocate|php|mysql|pgsql)|run/secrets|mail/|spool/cron)"
    r"|root/\.(?:ssh|bash|profile|mysql|aws|my\.cnf)|home/[\w.-]+/\.(?:ssh|bash|profile|mysql|aws|my\.cnf)"
    r"|\.ssh/(?:id_|auth|known)|id_[rd]sa\b(?<=/id_.sa)"
    r"|usr(?<![a-z_]usr)/local/(?:apache|etc/|tomcat[\w.-]{0,20}/conf/)"
    r"|opt(?<![a-z_]opt)/(?:lampp/|[\w.-]{1,40}/conf/\w)|boot(?<![a-z_.-]boot)/grub"
)
_WINDOWS = re.compile(
    r"windir%/|systemroot%/"
    r"|win(?:dows(?:\.old)?|nt)?/{1,3}(?:win\.ini|system\.ini|system32/.|php\.ini|repair|system/|debug/|my\.ini|explorer)"
    r"|boot\.ini(?<![^/:]boot\.ini)(?:$|[^\w.])|autoexec\.bat(?<![^/:]autoexec\.bat)(?:$|[^\w.])"
    r"|ntldr(?<![^/:]ntldr)(?:$|[^\w.])|pagefile\.sys(?<![^/:]pagefile\.sys)(?:$|[^\w.])"
    r"|global\.asa(?<![^/:]global\.asa)(?:$|[^\w.])|inetpub/(?:wwwroot|logs)"
    r"|win\.ini(?<![^/:]win\.ini)(?:$|[^\w.])|system\.ini(?<![^/:]system\.ini)(?:$|[^\w.])"
)
_WEB = re.compile(
    r"web-inf/?\w|meta-inf/\w|(?:^|/)\.(?:htaccess|htpasswd|git/|svn/|env(?:$|\W)|aws/|ssh/)|(?:^"
    r"|/)(?:web|app)\.config$"
    r"|(?:^|/)wp-config\.php|(?:^|/)(?:config|settings|configuration)\.(?:php|inc)\b"
)
_TARGETS = (
    (re.compile(r"etc/|proc/|var/|root/|home/|\.ssh|id_|usr/|opt/|boot/"), _UNIX),
    (re.compile(r"win|root%|\.ini|autoexec|ntldr|\.sys|\.asa|inetpub"), _WINDOWS),
    (re.compile(r"-inf|(?:^|/)\.|\.ht|config|settings"), _WEB),
)  # each with what stands in every match, which is found faster

_PROGRAMS = (
    r"(?:apache|httpd|nginx|xampp|lamp|wamp|appserv|mysql|php|tomcat|thttpd|proftpd|pure-?ftpd|filezilla|mercury|postgres"
    r"|jboss|iis)"
)
_DRIVEN = r"(?:[a-z]:)?/(?:[\w .()-]{1,40}/){0,6}?"
_KEPT = re.compile(
    r"/(?:private/)?var/(?:log|adm|lock|apache\d?|mysql|spool|run|cron|saf|cpanel)(?:/[\w.%-]{1,40}){0,5}"
    r"|/(?:private/)?var/(?:[\w-]{1,30}/){0,3}(?:[\w-]{1,30}[._]log|\.htpasswd)"
    r"|/proc/[\w*\[\]-]{1,12}(?:/[\w*\[\]-]{1,12}){0,2}"
    r"|/etc/(?:[\w.-]{1,30}/){0,3}[\w.-]{1,40}"
    r"|/(?:root|home/[\w.-]{1,30})?/?\.(?:\w{0,12}_?history|\w{0,4}shosts|\w{0,8}passwd|xauthority|\w{2,4}rc|logout)"
    r"|(?:/[\w-]{1,30}){0,2}/(?:usr|var|opt|etc)/(?:[\w.-]{1,30}/){0,4}[\w.-]{1,30}(?:\.(?:conf|ini|pdb|cfg|cnf)(?:\.\w{1,4})?|/log|_log)"
    rf"|{_DRIVEN}{_PROGRAMS}[\w .()-]{{0,24}}/(?:[\w .()-]{{1,40}}/){{0,6}}"
    r"(?:[\w.-]{1,40}\.(?:log|conf|cnf|ini|pid|xml|err)|(?:access|error|thttpd)_log|logs?/?|data/?|sessions/?)"
    r"|(?:[a-z]:)?/(?:logs?|sessions)(?:/httpd)?/(?:access|error)[._]log"
    r"|[a-z]:/(?:documents and settings|users)/[\w .-]{1,30}/(?:(?:desktop|my documents)/)?"
    r"(?:desktop\.ini|ntuser\.dat\w*)"
    r"|[a-z]:/(?:system volume information/[\w.-]{1,40}|(?:unattend\w*|sysprep)\.(?:xml|txt|inf))"
    r"|[a-z]:/win(?:dows|nt)/(?:panther|csc|repair|temp|debug|security|system32)/(?:[\w.-]{0,40}/?){0,4}"
    r"|[a-z]:/win(?:dows|nt)/\w{1,30}\.(?:log|ini|txt)"
    r"|//[\w.:\[\]-]{1,60}/(?:[a-z]|admin|ipc|print)\$(?:/[\w .$-]{1,60}){0,6}"  # an administrator's share
    r"|[a-z]:/program ?files(?: ?\(x86\))?/(?:[\w .()-]{1,40}/){1,6}[\w.-]{1,40}\.(?:log|conf|cnf|ini)"
    r"|[a-z]:/(?:sysprep|minint)/(?:[\w.-]{1,40}/?){1,4}"
    r"|\.(?:htpasswd|htaccess|passwd|pass)"
)
_FILTER = re.compile(
    r"(?:convert\.(?:iconv\.[\w-]{0,30}[./][\w-]{1,30}|base64-(?:en|de)code)|string\.rot13)"
    r"[|/.]?.{0,40}"
)


def target(squeezed: str) -> int:
    """Where in a path, its separators slashes and none doubled, one of these files begins; -1: nowhere."""
    for places, pattern in _TARGETS:
        if places.search(squeezed):
            found = pattern.search(squeezed)
            if found:
                return found.start()
    return -1


def is_kept(plain: str) -> bool:
    """Whether a text is nothing but the whole name of a log, a configuration or a history, or a filter of PHP's."""
    if plain[:1] in "/." or plain[1:2] == ":":
        return plain != "/etc/" and _KEPT.fullmatch(plain.strip("\x00 ")) is not None
    return plain.startswith(("convert.", "string.rot13")) and _FILTER.fullmatch(plain) is not None
