"""What each system runs, Carrier among them: programs that are started by the benchmarks."""
