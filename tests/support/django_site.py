"""Django's settings, which a process can have once only."""

from __future__ import annotations

import django
from django.conf import settings


def set_up() -> None:
    """A site without applications, and a database in memory. Idempotent."""
    if not settings.configured:
        settings.configure(
            SECRET_KEY="secret", ALLOWED_HOSTS=["localhost"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
        django.setup()
