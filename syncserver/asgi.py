"""The ASGI entry for application servers."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncserver.settings")

application = get_asgi_application()
