"""How good the product's methods are on data that anyone brings, beside the baselines people know."""
