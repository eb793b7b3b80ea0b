"""Settings of the project, each from the environment. `docs/reference/settings.md` lists them."""

from __future__ import annotations

from pathlib import Path

import environ

from sync_api.conf import LIMITS, host_name

BASE_DIR = Path(__file__).resolve().parent.parent
WORK_DIR = Path.cwd()

env = environ.Env()
if (WORK_DIR / ".env").is_file():
    env.read_env(str(WORK_DIR / ".env"))

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    from syncserver.secret_key import local_secret_key

    SECRET_KEY = local_secret_key(WORK_DIR / "keys")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

SYNC_ROLE = env.str("SYNC_ROLE", default="client")
SYNC_DEVICE = env.str("SYNC_DEVICE", default="")
SYNC_APPS = env.list("SYNC_APPS", default=[])
SYNC_APP_VERSION = env.str("SYNC_APP_VERSION", default="0.1.0")
SYNC_SEALED_MODELS = env.json("SYNC_SEALED_MODELS", default={})
SYNC_KEY_DIR = env.str("SYNC_KEY_DIR", default=str(WORK_DIR / "keys"))
SYNC_FILES_DIR = env.str("SYNC_FILES_DIR", default=str(WORK_DIR / "files"))
SYNC_CONTACT = env.str("SYNC_CONTACT", default="")
SYNC_ALLOW_HTTP = env.bool("SYNC_ALLOW_HTTP", default=False)
SYNC_ADDRESSES = env.list("SYNC_ADDRESSES", default=[])
SYNC_RECONCILE_MODELS = env.list("SYNC_RECONCILE_MODELS", default=[])
SYNC_INSPECT = env.bool("SYNC_INSPECT", default=False)
for _name, _default in LIMITS.items():
    if _name in env.ENVIRON:
        globals()[_name] = env.float(_name) if isinstance(_default, float) else env.int(_name)
ALLOW_MODEL_SERIALIZATION = env.bool("ALLOW_MODEL_SERIALIZATION", default=True)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "audit",
    "sync_api",
    "syncserver",
    "syncserver.study",
    *SYNC_APPS,
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "sync_api.capture.middleware.SyncContextMiddleware",
]

ROOT_URLCONF = "syncserver.urls"
WSGI_APPLICATION = "syncserver.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{WORK_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"].setdefault("OPTIONS", {}).update({"transaction_mode": "IMMEDIATE", "timeout": 30})
else:  # a new connection to PostgreSQL costs a request as much as a thousand rows; it is kept, and looked at before use
    DATABASES["default"].update({"CONN_MAX_AGE": env.int("DATABASE_CONN_MAX_AGE", 600), "CONN_HEALTH_CHECKS": True})
if env.str("SERVER_DATABASE_URL", default=""):  # the router's way: this process writes to the server's database
    DATABASES["server"] = env.db("SERVER_DATABASE_URL")
    SYNC_DATABASES = {
        "default": {"role": SYNC_ROLE, "device": SYNC_DEVICE or host_name(), "copy_to": "server"},
        "server": {"role": "server", "device": env.str("SERVER_DEVICE")},
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default="") or None  # without it, files are served from the packages
STORAGES = {
    "default": {"BACKEND": "sync_api.files.storage.ContentStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
MEDIA_URL = "media/"
MEDIA_ROOT = env.str("MEDIA_ROOT", default=str(WORK_DIR / "media"))
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=False)
SESSION_COOKIE_SECURE = env.bool("SESSION_COOKIE_SECURE", default=False)
CSRF_COOKIE_SECURE = env.bool("CSRF_COOKIE_SECURE", default=False)
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", default=False)
if proxy_header := env.tuple("SECURE_PROXY_SSL_HEADER", default=()):
    SECURE_PROXY_SSL_HEADER = proxy_header

REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
    "NUM_PROXIES": env.int("NUM_PROXIES", default=None),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "syncserver",
    "DESCRIPTION": "Sealed batches in, signed receipts out.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="WARNING")},
}
