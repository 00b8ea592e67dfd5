"""Blocks of C's heap, and which of their pages the system keeps in memory for this process."""

import ctypes
import mmap

libc = ctypes.CDLL(None, use_errno=True)


def allocate(size: int) -> int:
    """The address of a new block of C's heap, every page of which has been written."""
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    address = libc.malloc(size)
    ctypes.memset(address, 1, size)
    return address


def free(*blocks: int) -> None:
    """Give blocks back to C's heap."""
    libc.free.argtypes = [ctypes.c_void_p]
    for block in blocks:
        libc.free(block)


def held(address: int, size: int) -> list[bool]:
    """For each page that lies within a block, free or not: whether it is in memory."""
    page = mmap.PAGESIZE
    first, end = -(-address // page) * page, (address + size) // page * page
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    state = ctypes.create_string_buffer(1)
    # It fails where nothing is mapped.
    return [libc.mincore(at, page, state) == 0 and bool(state.raw[0] & 1) for at in range(first, end, page)]
