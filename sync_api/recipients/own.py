"""This installation's own recipient key: an X25519 key pair in its key folder, 0600, and those it had before.

`recipient-KEY_ID.pem` holds one private key each; the file `recipient_key_id` says which is the present one. A key
that was replaced stays: what was sealed to it must open for as long as it is kept anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from sync_api.exceptions import RecipientKeyFileBroken
from sync_api.wire.keys import device_folder, read_or_create, replace_private, write_private
from sync_api.wire.sealed_payloads import KEY_ID, key_id_of

PRESENT_FILE = "recipient_key_id"


@dataclass(frozen=True, slots=True)
class OwnKey:
    """The public half of a recipient key of this installation."""

    name: str
    key_id: str
    public_key: str


def own_key(device: str) -> OwnKey:
    """The present key, made on first use. Two processes at once agree on one."""
    folder = device_folder(device)
    present = folder / PRESENT_FILE
    if not present.exists():
        new_id = make_key(folder)
        if read_or_create(present, new_id.encode()).decode().strip() != new_id:
            key_path(folder, new_id).unlink()
    key_id = present.read_text().strip()
    if not KEY_ID.fullmatch(key_id) or not key_path(folder, key_id).exists():
        raise RecipientKeyFileBroken(file=present.name)
    return public_half(device, read_key(key_path(folder, key_id)))


def own_private_keys(device: str) -> dict[str, X25519PrivateKey]:
    """All keys that this installation has or had, by key id. Empty where none was ever made."""
    keys = map(read_key, sorted(device_folder(device).glob("recipient-*.pem")))
    return {public_half(device, key).key_id: key for key in keys}


def rotate_own_key(device: str) -> OwnKey:
    """A new present key; the one before stays for what was sealed to it. Killed anywhere, one of the two is whole."""
    folder = device_folder(device)
    replace_private(folder / PRESENT_FILE, make_key(folder).encode())
    return own_key(device)


def make_key(folder: Path) -> str:
    """A new private key in its file; its key id."""
    private = X25519PrivateKey.generate()
    key_id = key_id_of(private.public_key().public_bytes_raw().hex())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(folder / f".{key_id}.new", pem).replace(key_path(folder, key_id))
    return key_id


def key_path(folder: Path, key_id: str) -> Path:
    return folder / f"recipient-{key_id}.pem"


def read_key(path: Path) -> X25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise RecipientKeyFileBroken(file=path.name) from error
    if not isinstance(key, X25519PrivateKey):
        raise RecipientKeyFileBroken(file=path.name)
    return key


def public_half(device: str, key: X25519PrivateKey) -> OwnKey:
    public_key = key.public_key().public_bytes_raw().hex()
    return OwnKey(device, key_id_of(public_key), public_key)
