"""Ed25519 keys and secrets in files that only their owner can read."""

from __future__ import annotations

import errno
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from filelock import FileLock

from sync_api.conf import key_directory
from sync_api.exceptions import KeyFolderUnusable

KEY_FILE = "private_key.pem"
SALT_FILE = "salt_key"
TOKEN_FILE = "token"  # noqa: S105 - a file's name
SALT_KEY_BYTES = 32
LOCK_SECONDS_MAX = 10.0
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """A device's private key and the secret from which its batches' salts are derived."""

    private: Ed25519PrivateKey
    salt_key: bytes

    @property
    def public_hex(self) -> str:
        return self.private.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


def device_folder(device: str) -> Path:
    """The folder of one device's secrets, made with mode 0700."""
    folder = key_directory() / device
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyFolderUnusable(folder=str(folder), what=error.strerror or type(error).__name__) from error
    return folder


def device_keys(device: str) -> DeviceKeys:
    """The keys of `device` on this machine, made on first use. Two processes at once agree on one key."""
    folder = device_folder(device)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        stored = read_or_create(folder / KEY_FILE, pem)
        salt = read_or_create(folder / SALT_FILE, secrets.token_bytes(SALT_KEY_BYTES).hex().encode())
    except OSError as error:
        raise KeyFolderUnusable(folder=str(folder), what=error.strerror or type(error).__name__) from error
    loaded = load_pem_private_key(stored, password=None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise TypeError(f"{folder / KEY_FILE} holds another kind of key than Ed25519.")
    return DeviceKeys(private=loaded, salt_key=bytes.fromhex(salt.decode().strip()))


def read_or_create(path: Path, content: bytes) -> bytes:
    """The file's content; `content` is written first (0600, whole or not at all) when there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        temporary = write_private(path.with_name(f".{path.name}.{secrets.token_hex(8)}"), content)
        try:
            put_in_place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return path.read_bytes()


def put_in_place(temporary: Path, path: Path) -> None:
    """Give the file its name unless one has it already, in one step. Where the file system knows no links (a stick's
    FAT), under a lock."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS_MAX, mode=0o600):
            if not path.exists():
                os.replace(temporary, path)


def write_private(path: Path, content: bytes) -> Path:
    """Write a file that only its owner can read, and bring it to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return path


def replace_private(path: Path, content: bytes) -> None:
    """Replace a private file in one step."""
    os.replace(write_private(path.with_name(f".{path.name}.{secrets.token_hex(8)}"), content), path)


def verifies(public_hex: str, signature: bytes, message: bytes) -> bool:
    """Whether `signature` is the key's over `message`. A malformed key verifies nothing."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_hex)).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
