-- Where the trace of a command goes on: the W3C traceparent of whatever ordered it, where that was
-- recorded. It stands beside the message, which is signed without it; see
-- docs/adr/0025-traces-of-commands.md.

alter table commands add column traceparent text;
alter table commands add constraint commands_traceparent_check
    check (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$') not valid;
alter table commands validate constraint commands_traceparent_check;
