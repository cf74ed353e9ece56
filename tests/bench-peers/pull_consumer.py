"""A JetStream consumer in the common style: what our receiver is compared with in `make bench`.

    pull_consumer.py metrics|records STREAM CONSUMER

nats-py's pull subscription on a durable consumer, `fetch` of 100; each message is decoded, written
and acknowledged before the next. Ends with SIGTERM.
"""

import asyncio
import json
import signal
import sys

import nats
import nats.errors

import sinks

BATCH_MESSAGES = 100
FETCH_SECONDS = 1


async def main(kind, stream, consumer):
    write = sinks.open_sink(kind)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    connection = await nats.connect(sinks.URL, user_credentials=sinks.CREDS)
    jetstream = connection.jetstream()
    subscription = await jetstream.pull_subscribe_bind(consumer, stream)
    while not stop.is_set():
        try:
            messages = await subscription.fetch(BATCH_MESSAGES, timeout=FETCH_SECONDS)
        except nats.errors.TimeoutError:
            continue
        for message in messages:
            write(message.subject, json.loads(message.data), message.data)
            await message.ack()
    await connection.close()


asyncio.run(main(*sys.argv[1:]))
