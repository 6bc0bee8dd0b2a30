"""Values that every room knows: settings, the exchange, the guard, logging."""
