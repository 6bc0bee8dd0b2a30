"""Commands of Unix and Windows shells, by how easily they are taken for an ordinary word."""

from __future__ import annotations

import re

# Nobody says these but to a machine.
PLAIN = frozenset(
    "expr grep egrep whoami uname ifconfig ipconfig netstat nslookup systeminfo tasklist taskkill hostname"
    " printenv getent lsof wget curl telnet tcpdump traceroute tracert certutil bitsadmin powershell"
    " pwsh cmd regsvr32 rundll32 mshta cscript wscript wmic findstr icacls bash zsh ksh csh dash busybox"
    " ncat netcat socat sudo chmod chown mkfifo mkdir rmdir useradd adduser passwd crontab systemctl arp"
    " dpkg awk sed xargs base64 xxd python python2 python3 perl ruby php lua nodejs tftp sqlmap nproc"
    " lscpu lsblk iptables rm mv cp cat ping ping6 sleep usleep env ifdown ifup iwconfig getmac sc reg"
    " schtasks netsh whereis qwinsta net1 dig strings readlink tac rev hexdump nmap scp rsync getconf uptime groups"
    " logname vmstat pgrep pkill killall nohup timeout phpinfo winver attrib fsutil sleep.exe tar gzip"
    " gunzip openssl chroot sudo visudo kubectl mysqldump ssh-keygen".split()
)
# Short ones that also name columns, files and abbreviations.
SHORT = frozenset("id ls ps nc sh w df du ln dd od ss dir pwd cd ip ver nl vi gcc net".split())
# Words of English.
ENGLISH = frozenset(
    "cat type find head tail more less sort date time echo printf which who last host env set test"
    " touch cut top kill wait exit start copy move del erase tree print sleep ping true false make diff"
    " paste join split history export source eval exec read help node at shutdown reboot halt mail"
    " finger ftp ssh tee id locate file stat man nice ruby bash passwd groups strings hostname timeout"
    " rename expand format path title call tr uniq od nl dash rev".split()
)
# Those that an attacker tries first, because they answer.
TELLING = frozenset("whoami ifconfig ipconfig uname netstat systeminfo tasklist hostname printenv phpinfo".split())
# Those that do nothing by themselves.
NEEDING = frozenset(
    "rm mv cp cat sort make mkdir rmdir ln cut chmod chown sed awk grep cc gcc ruby perl python shell".split()
)
# Those that start what is named behind them.
STARTING = frozenset("exec eval sudo time nohup env busybox which".split())
# Those whose place a configuration or a first line names as well.
NAMED = frozenset("python python2 python3 ruby perl php node lua nodejs".split())
KNOWN = PLAIN | SHORT | ENGLISH

PATH = re.compile(
    r"(?:/+(?:\.{1,2}/*)?)?(?:usr/|opt/)?(?:local/)?s?bin/[\w?*\[\].+-]{1,30}"
    r"|/(?:[\w?*]{1,8}/){1,3}[\w*]{0,6}[?*\[][\w?*\]\[-]{1,20}"
    r"|(?:c:|%\w{4,12}%)[\\/](?:windows|winnt|system32)[\\/](?:\w+[\\/]){0,4}\w+(?:\.exe)?"
)
ARGUMENT = re.compile(
    r"[\s+]{1,8}(?:--?[\w?]|/[a-z?](?:\s|$|:)|[~.]{0,2}[/\\]|\*|\d{1,3}(?:\.\d+){0,3}(?:$|[\s;"
    r"|&#)'\"`])|https?:|[$%]\w|[$][({]"
    r"|[a-z]:|[<>]|\S{1,40}\.(?:php|ini|txt|conf|cfg|log|exe|bat|py|sh|xml|jsp|asp|passwd)\b"
    r"|\d+\.\d+\.\d+|localhost|(?:aux|-?ef)\b|(?:[\w.-]{1,20}\s){1,3}/(?:etc|tmp|var|root|dev|proc|bin|home)\b)"
)
# What programs take for a command to start, or for a program to call, when a value becomes their argument.
OPTION_NAMES = (
    r"(?:o\s?(?:proxy|local)command|upload-pack|receive-pack|use-compress-program|checkpoint-action|to-command)\b"
)
OPTION = re.compile("--?" + OPTION_NAMES)
# What makes even a talkative value worth stopping.
SENSITIVE = re.compile(
    r"/etc/(?:passwd|shadow|hosts|group|issue)|/dev/(?:tcp|udp)/|win\.ini|boot\.ini|\|\s{0,4}(?:ba|z"
    r"|k|c|da)?sh\b|\bnc\s+-\w*[elp]"
    r"|169\.254\.169\.254|/proc/self|(?:^|\s)rm\s+-\w*[rf]\w*\s+/|mkfifo|-i\s+>&|whoami(?!\s+[a-z]{3})|net\s+(?:user|localgroup|share|view)\b|\.ssh/"
)
