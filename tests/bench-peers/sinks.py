"""Where both peers write, one message at a time. Connections come from the environment."""

import os
import uuid

import psycopg
import redis

URL = os.environ["NATS_URL"]
CREDS = os.environ["NATS_CREDS"]
SUBJECTS = {"metrics": "tenant.*.demo.system.*.*", "records": "tenant.*.device.*.response"}
MAX_POINTS = 300
TTL_SECONDS = 900

INSERT = """
insert into device_realtime_data
      (tenant_uuid, device_uuid, message_key, kind, data_type, command_id, status, payload,
       sent_at, received_at)
values (%s, %s, %s, 'response', 'response', %s, %s, %s, to_timestamp(%s), now())
on conflict do nothing"""


def open_sink(kind):
    return {"metrics": rings, "records": rows}[kind]()


def rings():
    client = redis.Redis(
        host=os.environ["METRICS_REDIS_HOST"], port=int(os.environ["METRICS_REDIS_PORT"]), db=3
    )

    def write(subject, body, _data):
        _, _, _, _, device, metric = subject.split(".")
        key = f"wegweiser:metrics:{device}:{metric}"
        element = f'{{"timestamp":{body["timestamp_ms"]},"value":{body["value"]}}}'
        pipeline = client.pipeline(transaction=False)
        pipeline.lpush(key, element).ltrim(key, 0, MAX_POINTS - 1).expire(key, TTL_SECONDS)
        pipeline.execute()

    return write


def rows():
    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    cursor = connection.cursor()

    def write(subject, body, data):
        _, tenant, _, device, _ = subject.split(".")
        result = body["result"]
        row = (
            tenant,
            device,
            str(uuid.uuid4()),
            body["command_id"],
            result["status"],
            data.decode(),
            body["timestamp_ms"] / 1000,
        )
        cursor.execute(INSERT, row)

    return write
