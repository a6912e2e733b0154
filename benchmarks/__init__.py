"""How fast Carrier is, beside its peers: each as its own documentation says, with the same safety."""
