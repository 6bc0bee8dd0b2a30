"""Findings forwarded to a SIEM: as OCSF, CEF or plain JSON, over syslog or into a file."""
