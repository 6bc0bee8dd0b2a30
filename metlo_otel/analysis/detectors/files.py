"""Files that lie about on servers and are for nobody: what scanners ask for by a request's path."""

from __future__ import annotations

import re
from collections.abc import Iterator

from metlo_otel.analysis.detectors.finding import Finding, high, low

_HIDDEN = re.compile(
    r"/\.(?:git(?:/|ignore$|config$)|svn(?:/|$)|hg/|bzr/|env(?:\.[\w.-]{1,20})?$|aws/|ssh/|docker/config|npmrc$|pypirc$"
    r"|htpasswd|htaccess|ds_store$|bash_history$|netrc$|idea/|vscode/(?:sftp|settings)|kube/|terraform|pgpass$|cvs)"
    r"|/web-inf/|/meta-inf/|/cvs/(?:root|entries)$"
)
_CERTAIN = re.compile(
    r"/\.(?:git/|svn/|hg/|env(?:\.[\w.-]{1,20})?$|aws/|ssh/|htpasswd|bash_history$)|/web-inf/|/id_[rd]sa$"
)
_BACKUP = re.compile(
    r"/[\w.@-]{0,60}\.(?:(?:php\d?|jsp|aspx?|py|rb|conf|config|ya?ml|json|env|ini|js|html?|cgi|pl)(?:\.(?:bak|old|orig|save"
    r"|swp|swo|tmp|copy|\d)|~)|bak|swp|sql(?:\.(?:gz|zip|bz2|tar|7z))?|sqlite3?|mdb)$"
    r"|/(?:backups?|dumps?|dmp|db|database|site|www|wwwroot|htdocs|public_html|website|web|old|new|archive)"
    r"\.(?:zip|tar|tgz|tar\.gz|tar\.bz2|rar|7z|gz|sql|bak)$"
)
_CONFIGURATION = re.compile(
    r"/(?:wp-config\.php|web\.config|id_[rd]sa|phpinfo\.php|info\.php|server-status|server-info|\.well-known/\.env"
    r"|adminer(?:-[\d.]{1,8})?\.php|phpmyadmin/(?:index\.php|setup)|xmlrpc\.php|wp-login\.php|composer\.(?:json|lock)"
    r"|docker-compose\.ya?ml|appsettings\.(?:\w+\.)?json|local_settings\.py|database\.yml|secrets\.ya?ml|trace\.axd"
    r"|elmah\.axd|config\.(?:php|inc|inc\.php)|configuration\.php|crossdomain\.xml|clientaccesspolicy\.xml)$"
)
_TRICK = re.compile(r"\.(?:php\d?|phtml|jsp|aspx?|cgi|pl|asa)(?:[\n\r\x00;#:\u560a\u560d]|::\$data|/\.)[\w.$#]{0,20}$")


def find_in_path(path: str, lower: str) -> Iterator[Finding]:
    """SENSITIVE_FILE: a path that asks for what a repository, an editor, a backup or a deployment left behind."""
    if "/./" in lower or "//" in lower:
        lower = re.sub(r"/(?:\./|/)+", "/", lower)
    if _CERTAIN.search(lower):
        yield high("SENSITIVE_FILE", path)
    elif _HIDDEN.search(lower) or _BACKUP.search(lower) or _CONFIGURATION.search(lower) or _TRICK.search(lower):
        yield low("SENSITIVE_FILE", path)
