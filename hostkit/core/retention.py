"""How long results are kept once they left the hub; the notice to visitors says the same."""

DAY_S = 86_400
VISITS_KEPT_S = 30 * DAY_S
HOURS_KEPT_S = 25 * 31 * DAY_S
DAYS_KEPT_S = 3653 * DAY_S
