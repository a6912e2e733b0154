FROM python:3.12-slim

WORKDIR /app
COPY pyproject.toml README.md LICENSE settings.py ./
COPY actors actors
COPY carrier carrier
COPY scheduler scheduler
# What makes backups of PostgreSQL and MariaDB.
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-client mariadb-client \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir . \
    && useradd --create-home carrier \
    && install -d -o carrier /data

# The store, the outbox, backups and, without RabbitMQ, the messages: keep it on a volume.
ENV CARRIER_HOME=/data PYTHONUNBUFFERED=1
VOLUME /data
USER carrier
CMD ["carrier", "worker"]
