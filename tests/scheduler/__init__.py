"""The scheduler: when schedules fire, that each fire time happens once, and what people see of it."""
