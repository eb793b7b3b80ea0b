"""What the browser tests share with the integration tests."""

from tests.integration.conftest import transport_emptied

__all__ = ["transport_emptied"]
