"""MicroPython's cryptolib.aes in CBC, under CPython."""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class aes:  # noqa: N801
    def __init__(self, key, mode, iv):
        assert mode == 2
        self._cipher = Cipher(algorithms.AES(bytes(key)), modes.CBC(bytes(iv)))

    def encrypt(self, data, out):
        out[:] = self._cipher.encryptor().update(bytes(data))

    def decrypt(self, data, out):
        out[:] = self._cipher.decryptor().update(bytes(data))
