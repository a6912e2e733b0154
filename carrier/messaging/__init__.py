"""How a message travels: envelope, brokers, attempts, failed queue, and the service that sends."""
