"""Pins of the boards by name: LED (and whether low lights it) and the Ethernet PHY's arguments for network.LAN."""

# board: (LED pin or None, level that lights it, what network.LAN is told; PHY types are names in `network`)
BOARDS = {
    "esp32-c6-devkitc-1": (4, 1, None),
    "esp32-devkitc": (2, 1, None),
    "olimex-esp32-poe": (4, 1, {
        "mdc": 23,
        "mdio": 18,
        "power": 12,
        "ref_clk": 17,
        "phy_type": "PHY_LAN8720",
        "phy_addr": 0,
        "ref_clk_mode": "OUT",
    }),
    "esp32-s3-devkitc-1": (4, 1, None),
    "wt32-eth01": (4, 1, {
        "mdc": 23,
        "mdio": 18,
        "power": 16,
        "ref_clk": 0,
        "phy_type": "PHY_LAN8720",
        "phy_addr": 1,
        "ref_clk_mode": "IN",
    }),
    "xiao-esp32c3": (10, 1, None),
}  # fmt: skip


def led_of(board: str) -> tuple[int | None, int]:
    """Give pin and lighting level; None: the board has no plain LED."""
    row = BOARDS.get(board)
    return (row[0], row[1]) if row else (None, 1)


def lan_of(board: str) -> dict[str, object]:
    """Give what the board's Ethernet needs; ValueError for a board without."""
    row = BOARDS.get(board)
    if row is None or row[2] is None:
        raise ValueError("board: has no Ethernet")
    return dict(row[2])
