"""One request at work: who asks, for which device, and which upload of it is open."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from audit.models import Device
from sync_api.compat.camcops.replies import Reply
from sync_api.compat.camcops.request import Fields
from sync_api.exceptions import CredentialsRefused
from sync_api.models import Upload
from sync_api.uploads.devices import check_may_upload, find_device
from sync_api.uploads.operations import open_upload_of, start_upload
from sync_api.uploads.people import authenticate, session_token, user_of_session

SESSION_BYTES = 12
NAME_LENGTH_MAX = 64


@dataclass(slots=True)
class Asked:
    """The request. `user` is known from `check_user` on, `device` from `check_device` on."""

    alias: str
    fields: Fields
    user: Any = None
    session_id: str = ""
    known_device: Device | None = None

    @property
    def version(self) -> str:
        return self.fields.text("camcops_version", "").replace("\0", "").strip()

    @property
    def device(self) -> Device:
        assert self.known_device is not None, "check_device comes first"
        return self.known_device

    def check_user(self) -> None:
        """By the session of an earlier request, else by name and password. CredentialsRefused, TooManyTries."""
        name = self.fields.text("user", "")
        self.session_id = self.fields.text("session_id", "")[:NAME_LENGTH_MAX]
        token = self.fields.text("session_token", "")
        if not name:
            raise CredentialsRefused
        if token and self.session_id:
            self.user = user_of_session(self.alias, name=name, session_id=self.session_id, token=token)
        if self.user is None:
            self.session_id = secrets.token_hex(SESSION_BYTES)
            password = self.fields.text("password", "")
            self.user = authenticate(self.alias, name=name, password=password, address=self.fields.address)

    def check_device(self) -> None:
        """The device must be registered, and the user one who may upload for it."""
        self.known_device = find_device(self.alias, self.fields.text("device"))
        check_may_upload(self.alias, self.user, self.device)

    def session(self) -> Reply:
        """What the next request may show in place of the password."""
        if self.user is None:
            return {}
        token = session_token(self.user, session_id=self.session_id)
        return {"session_id": self.session_id, "session_token": token}

    def upload(self) -> Upload | str:
        """The device's open upload of this user. Another user's is rolled back, and one is opened where none is.

        Source: the seed's get_batch_details.
        """
        upload = open_upload_of(self.alias, self.device)
        if upload is not None and upload.user == self.user.get_username():
            return upload
        started = start_upload(self.alias, user=self.user, device=self.device, app_version=self.version)
        return started.upload_id
