"""Changes to a file that is right: bytes turned, left out, moved and doubled, and words that mean trouble put in."""

import random
import struct

WORDS = (
    *(b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r", b"\x00", b"\xff", b"\xef\xbb\xbf", b"#"),
    *(b"null", b"true", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0", b"1.5", b"9" * 50, b"9" * 5000),
    *(b"\\ud83d", b"\\u0000", b"\\udc00\\ud83d", "\u0130".encode(), "\U0001f600".encode(), b"\xed\xa0\x80"),
    *(b"[" * 70, b"[" * 5000, b'{"a":' * 70, b"a." * 70, b"../x", b"/etc/x", b"C:\\x", b"..", b"(a)", b"(b)"),
    *(b"[]", b"{}", b'""', b'{"a":1,"a":2}', b"F64", b"I32", b"C64", b"(a+)+$", b"1.0", b"-1", b"1e30"),
    *(struct.pack("<Q", number) for number in (0, 1, 1 << 20, 1 << 40, (1 << 64) - 1)),
    *(struct.pack("<I", number) for number in (0, 8, 9, 1 << 31, (1 << 32) - 1)),
)


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """A file that is nearly right."""
    found = bytearray(seed)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at, end = sorted(chance.randrange(len(found) + 1) for _ in range(2))
        end = min(end, at + chance.choice((1, 4, 16, 64, 1024)))
        match chance.randrange(7):
            case 0:
                found[at:end] = b""
            case 1:
                found[at:at] = chance.choice(WORDS)
            case 2:
                found[at:end] = chance.choice(WORDS)
            case 3:
                found[at:at] = found[at:end]
            case 4:
                found[at:end] = bytes(chance.randrange(256) for _ in range(end - at))
            case 5:
                found = found[:at]
            case 6 if found:
                found[at % len(found)] ^= 1 << chance.randrange(8)
    return bytes(found)
