"""The commands of the scheduler, each a thin call into its rooms."""
