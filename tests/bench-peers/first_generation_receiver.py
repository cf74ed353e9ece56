"""A receiver as the first generation had it: what ours is compared with in `make bench`.

    first_generation_receiver.py metrics|records MESSAGES

A core NATS subscription; a message is written before the next is looked at: LPUSH, LTRIM and EXPIRE
in one pipeline with redis-py, or one INSERT in a transaction of its own with psycopg. Prints `ready`
once subscribed, and after MESSAGES messages how many seconds passed from the first to the last write.

It is spared what would cost it more: no reconnecting, no logging, pipelined Redis commands.
"""

import asyncio
import json
import sys
import time

import nats

import sinks


async def main(kind, messages):
    write = sinks.open_sink(kind)
    done = asyncio.get_running_loop().create_future()
    started = None
    written = 0

    async def take(message):
        nonlocal started, written
        if started is None:
            started = time.monotonic()
        write(message.subject, json.loads(message.data), message.data)
        written += 1
        if written == messages:
            done.set_result(time.monotonic() - started)

    connection = await nats.connect(sinks.URL, user_credentials=sinks.CREDS)
    await connection.subscribe(sinks.SUBJECTS[kind], cb=take)
    await connection.flush()
    print("ready", flush=True)
    print(await done, flush=True)
    await connection.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
