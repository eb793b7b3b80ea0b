"""The laptop and the server of the finalizing tests."""

from tests.integration.finalizing.conftest import day, emptied

__all__ = ["day", "emptied"]
