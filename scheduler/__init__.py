"""Messages that send themselves: the recurring ones of carrier.toml, by APScheduler."""
