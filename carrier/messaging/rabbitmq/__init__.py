"""A broker on RabbitMQ: confirmed publishing, delays kept by the server, acknowledgements after the work."""
