"""An agent of the first generation: nats-py and nothing of ours.

    agent.py URL CREDS HEARTBEAT

Reads in its creds who it is, publishes plainly every shape that such agents send in the field,
prints one line of JSON, answers one command and ends. HEARTBEAT is what follows the device in the
subject of its heartbeat; the field knows three: status.heartbeat, heartbeat, status.
"""

import asyncio
import base64
import json
import sys
import time
import uuid

import nats

COMMAND_WAIT_SECONDS = 30


def who_am_i(creds):
    """Tenant and device, as the JWT of a creds file tells them."""
    with open(creds, encoding="ascii") as file:
        lines = file.read().splitlines()
    jwt = lines[lines.index("-----BEGIN NATS USER JWT-----") + 1]
    claims = jwt.split(".")[1]
    claims += "=" * (-len(claims) % 4)
    user = json.loads(base64.urlsafe_b64decode(claims))
    tags = dict(tag.split(":", 1) for tag in user["nats"]["tags"])
    return tags["tenant"], user["name"]


class Agent:
    def __init__(self, connection, tenant, device, heartbeat):
        self.connection = connection
        self.tenant = tenant
        self.device = device
        self.heartbeat_tail = heartbeat
        self.now = int(time.time() * 1000)

    async def send(self, subject, message):
        await self.connection.publish(subject, json.dumps(message).encode())

    def own(self, tail):
        return f"tenant.{self.tenant}.device.{self.device}.{tail}"

    def envelope(self, message_type, payload):
        return {
            "tenant_uuid": self.tenant,
            "device_uuid": self.device,
            "message_type": message_type,
            "payload": payload,
            "timestamp": self.now,
            "message_id": str(uuid.uuid4()),
        }

    async def metrics(self):
        async def send(metric, message):
            await self.send(f"demo.system.{self.device}.{metric}", message)

        def point(metric, value, timestamp):
            return {
                "device_uuid": self.device,
                "tenant_uuid": self.tenant,
                "metric_type": metric,
                "value": value,
                "timestamp": timestamp,
            }

        now = self.now
        for age, value in [(4000, 12.5), (2000, 13), (0, 14.25)]:
            await send("cpu_percent", point("cpu_percent", value, now - age))
        # The clock in seconds, whole and with a fraction.
        await send("memory_percent", point("memory_percent", 40.5, now // 1000))
        await send("disk_percent", point("disk_percent", 71, now / 1000))
        inner = point("network_bytes_in", 123456789, now)
        await send("network_bytes_in", self.envelope("metric", inner))
        # Subsets: without who, and without when.
        await send("network_bytes_out", {"value": 5, "timestamp": now})
        await send("uptime", {"value": 3600})

    async def heartbeat(self):
        message = {
            "device_uuid": self.device,
            "tenant_uuid": self.tenant,
            "timestamp": self.now,
            "agent_version": "1.8.2",
            "session_id": f"session-of-{self.heartbeat_tail}",
            "status": {"nats_server": "broker", "connected": True, "uptime": 120},
            "system_info": {"platform": "Linux", "hostname": "web-1", "uptime": 86400},
            "capabilities": {"osquery": True, "snippets": False},
        }
        await self.send(self.own(self.heartbeat_tail), message)

    async def monitoring(self):
        who = {"device_uuid": self.device, "tenant_uuid": self.tenant}
        hardware = {**who, "monitoring_type": "hardware", "timestamp": self.now, "cpu": {"cores": 8}}
        free_form = {**who, "timestamp": self.now // 1000, "disks": [{"mount": "/", "used": 0.5}]}
        network = {"monitoring_type": "network", "interfaces": ["eth0"]}
        await self.send(self.own("monitoring"), hardware)
        await self.send(self.own("monitoring"), free_form)
        await self.send(self.own("monitoring"), self.envelope("monitoring", network))

    def response(self, command_id, timestamp, **result):
        return {
            "command_id": command_id,
            "device_uuid": self.device,
            "timestamp": timestamp,
            "result": {"command_id": command_id, **result},
        }

    async def responses(self):
        tables = self.response("c-1", self.now - 3, status="success", result={"rows": [[1]]})
        failed = self.response("c-2", self.now - 2, status="error", error="osquery is missing")
        wrapped = self.response("c-3", self.now - 1, status="success", result="ok")
        await self.send(self.own("response"), tables)
        await self.send(self.own("response"), failed)
        await self.send(self.own("response"), self.envelope("response", wrapped))

    async def answer(self, message):
        order = json.loads(message.data)
        order = order.get("payload", order)
        now = int(time.time() * 1000)
        if order["command"] == "ping":
            outcome = {"status": "success", "result": "pong"}
        else:
            outcome = {"status": "error", "error": f"unknown command {order['command']}"}
        await self.send(self.own("response"), self.response(order["command_id"], now, **outcome))


async def main(url, creds, heartbeat):
    connection = await nats.connect(url, user_credentials=creds)
    tenant, device = who_am_i(creds)
    agent = Agent(connection, tenant, device, heartbeat)
    commands = await connection.subscribe(agent.own("command"))
    await agent.metrics()
    await agent.heartbeat()
    await agent.monitoring()
    await agent.responses()
    await connection.flush()
    print(json.dumps({"tenant": tenant, "device": device, "now_ms": agent.now}), flush=True)
    await agent.answer(await commands.next_msg(timeout=COMMAND_WAIT_SECONDS))
    await connection.flush()
    # What the broker refused comes back before the answer to a flush.
    if connection.last_error is not None:
        sys.exit(f"the broker refused something: {connection.last_error}")
    await connection.close()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
