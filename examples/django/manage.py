# Run: METLO_HOST=http://127.0.0.1:8081 METLO_API_KEY=<key> python examples/django/manage.py runserver --noreload
import os
import sys
from typing import Any

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")


def main() -> Any:
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
