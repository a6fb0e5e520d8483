"""Constants that the clients and the command share; imports nothing."""

VERSION = "0.1.0"
DEFAULT_URL = "http://127.0.0.1:8000"
SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp"}  # of results' files, by the service's format
