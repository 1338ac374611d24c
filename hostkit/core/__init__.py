"""The pure part: bytes and arrays in, values out, time as an argument. No I/O, no clock, no logging."""
