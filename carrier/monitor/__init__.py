"""What people see of it, and what they can do about it."""
