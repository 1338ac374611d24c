"""What a running process holds in memory, as root sees it."""


def memory_of(pid: int) -> list[bytes]:
    """Read every writable page of a process; PermissionError if it does not let us."""
    parts = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, mode, *_ = line.split()
            if mode.startswith("rw"):
                low, high = (int(end, 16) for end in span.split("-"))
                memory.seek(low)
                try:
                    parts.append(memory.read(high - low))
                except OSError:  # a page of the kernel's
                    continue
    return parts
