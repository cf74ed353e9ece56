"""Reads what the first web app reads, with its libraries and nothing of ours.

    web_app.py DEVICE LIMIT

Prints JSON: the newest LIMIT points of each metric, oldest first, and the device's rows of the two
views. METRICS_REDIS_* and DATABASE_URL say where.
"""

import json
import os
import sys

import psycopg
import psycopg.rows
import redis

METRICS = [
    "cpu_percent",
    "memory_percent",
    "disk_percent",
    "network_bytes_in",
    "network_bytes_out",
    "uptime",
]


def recent_metrics(device, limit):
    """LRANGE 0 limit-1, reversed: the list has its newest point first."""
    server = redis.Redis(
        host=os.environ.get("METRICS_REDIS_HOST", "localhost"),
        port=int(os.environ.get("METRICS_REDIS_PORT", "6379")),
        db=int(os.environ.get("METRICS_REDIS_DB", "3")),
        decode_responses=True,
    )
    prefix = os.environ.get("METRICS_REDIS_PREFIX", "wegweiser:metrics")
    charts = {}
    for metric in METRICS:
        elements = server.lrange(f"{prefix}:{device}:{metric}", 0, limit - 1)
        points = [json.loads(element) for element in reversed(elements)]
        charts[metric] = [[point["timestamp"], point["value"]] for point in points]
    return charts


def rows(device):
    connectivity = """
        select deviceuuid::text, is_online, last_online_change, last_seen_online, last_heartbeat,
               agent_version, connection_type, connection_info
        from deviceconnectivity where deviceuuid = %s"""
    realtime = """
        select id, deviceuuid::text, data_type, data_value, last_updated
        from devicerealtimedata where deviceuuid = %s order by data_type"""
    with psycopg.connect(os.environ["DATABASE_URL"], row_factory=psycopg.rows.dict_row) as database:
        return {
            "connectivity": database.execute(connectivity, [device]).fetchall(),
            "realtime": database.execute(realtime, [device]).fetchall(),
        }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    device, limit = sys.argv[1], int(sys.argv[2])
    print(json.dumps({"metrics": recent_metrics(device, limit), **rows(device)}))
