"""A broker without a server: one SQLite file, shared by any number of processes of one machine."""
