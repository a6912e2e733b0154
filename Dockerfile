FROM python:3.12-slim

WORKDIR /app
COPY pyproject.toml README.md LICENSE settings.py ./
COPY actors actors
COPY carrier carrier
COPY scheduler scheduler
RUN pip install --no-cache-dir . \
    && useradd --create-home carrier \
    && install -d -o carrier /data

# The store, the outbox, backups and, without RabbitMQ, the messages: keep it on a volume.
ENV CARRIER_HOME=/data PYTHONUNBUFFERED=1
VOLUME /data
USER carrier
CMD ["carrier", "worker"]
