# Columns of rows of devices that are small integers: what every kernel with a state for each checks first.

# A hostile or broken caller cannot make the state grow without end: 2^24 devices of 64 bytes are 1 GiB.
MAX_DEVICES = 1 << 24


cdef int check_lengths(Py_ssize_t rows, Py_ssize_t a, Py_ssize_t b, Py_ssize_t c) except -1:
    if a != rows or b != rows or c != rows:
        raise UsageError("columns differ in length", where="update", next_step="pass one value a point in each")
    return 0


cdef int32_t highest(const int32_t[::1] device) except -2:
    cdef Py_ssize_t i
    cdef int32_t most = -1, least = 0
    for i in range(device.shape[0]):
        most, least = max(most, device[i]), min(least, device[i])
    if least < 0 or most >= MAX_DEVICES:
        raise UsageError("device numbers out of range", where="device", next_step=f"use 0 to {MAX_DEVICES - 1}")
    return most


cdef slots(device, Py_ssize_t size):
    """The device numbers asked for as int32, all of them for None."""
    if device is None:
        return np.arange(size, dtype=np.int32)
    which = np.unique(np.asarray(device, np.int32))
    highest(which)
    return which
