-- What was reported: messages, what became of them at each receiver, and who is in which channel. deployment.sql has
-- the conventions.

-- Rows of messages and receipts are short (docs/adr/0043-narrow-rows.md). They have no NULL, because a row with a NULL
-- is eight bytes longer. Times are stored as ms after sent_at. Two values are special: -2147483648: the time is not
-- known; 2147483647: the difference does not fit into four bytes, so the time itself is in `rare`.
create function moment_after(sent_at bigint, moment bigint) returns integer
immutable parallel safe language sql
return case
    when moment is null then -2147483648
    when moment - sent_at between -2147483647 and 2147483646 then moment - sent_at
    else 2147483647
end::integer;

-- `rare` has the values that few rows have. Value n, from 1, is in the n-th eight bytes. Unknown values at the end are
-- not stored.
create function rare_value(rare bytea, number integer) returns bigint
immutable parallel safe language sql
return case
    when length(rare) >= 8 * number
    then nullif(('x' || encode(substr(rare, 8 * number - 7, 8), 'hex'))::bit(64)::bigint, -9223372036854775808)
end;

create function rare_values(known bigint[]) returns bytea
immutable parallel safe language sql
return (
    select coalesce(string_agg(int8send(coalesce(value, -9223372036854775808)), '' order by number), '')
    from (
        select value, number, max(number) filter (where value is not null) over () as last_number
        from unnest(known) with ordinality as one (value, number)
    ) numbered
    where number <= last_number
);

-- A time, from the ms after sent_at. number: the place of the time in `rare`.
create function moment_at(sent_at bigint, after integer, rare bytea, number integer) returns bigint
immutable parallel safe language sql
return case after
    when -2147483648 then null
    when 2147483647 then rare_value(rare, number)
    else sent_at + after
end;

-- The values in `rare` of a message: 1 typed_at, unless it is created_at; 2 typed_sent_at, unless it is sent_at;
-- 3 created_at and 4 message_size, if they do not fit into four bytes.
create function message_rare(
    sent_at bigint, created_at bigint, typed_at bigint, typed_sent_at bigint, message_size bigint
) returns bytea
immutable parallel safe language sql
return case
    when (typed_at is null or (typed_at = created_at and typed_sent_at = sent_at))
     and moment_after(sent_at, created_at) <> 2147483647 and coalesce(message_size, 0) < 2147483647
    then ''::bytea
    else rare_values(array[
        nullif(typed_at, created_at),
        nullif(typed_sent_at, sent_at),
        case when moment_after(sent_at, created_at) = 2147483647 then created_at end,
        case when message_size >= 2147483647 then message_size end
    ])
end;

-- An id in clear, as bytes. Most ids are hexadecimal, with or without 0x, or UUIDs: then one byte holds two digits. The
-- first byte is 0 for text, 1 for hexadecimal with 0x, 2 for hexadecimal without, 3 for a UUID. Empty: there is no id.
create function id_bytes(id text) returns bytea
immutable parallel safe language sql
return case
    when id = '' then ''::bytea
    when id collate "C" ~ '^0x[0-9a-f]+$' and length(id) % 2 = 0 then '\x01'::bytea || decode(substr(id, 3), 'hex')
    when id collate "C" ~ '^[0-9a-f]+$' and length(id) % 2 = 0 then '\x02'::bytea || decode(id, 'hex')
    when id collate "C" ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    then '\x03'::bytea || decode(replace(id, '-', ''), 'hex')
    else '\x00'::bytea || convert_to(id, 'UTF8')
end;

create function id_text(id bytea) returns text
immutable parallel safe language sql
return case substr(id, 1, 1)
    when ''::bytea then ''
    when '\x01'::bytea then '0x' || encode(substr(id, 2), 'hex')
    when '\x02'::bytea then encode(substr(id, 2), 'hex')
    when '\x03'::bytea then encode(substr(id, 2), 'hex')::uuid::text
    else convert_from(substr(id, 2), 'UTF8')
end;

-- One row for each message. Not partitioned by day: the primary key guarantees that a message has one sentAt, and the
-- key of a partitioned table would have to include the day (docs/adr/0003-one-row-a-message.md).
create table message (
    sent_at         bigint   not null,  -- the time that most installations say, by the best clock: docs/algorithm.md
    channel_id      bigint   not null,
    message_id      bigint   not null,
    first_envelope  bigint   not null,  -- the envelope that it came in; 0: its first samples named none
    created_after   integer  not null,  -- moment_after of created_at in whole_message
    size_bytes      integer  not null,  -- -1: not said; 2147483647: the size is in rare
    kind            integer  not null,  -- that of its first accepted sample that says a type
    clock           smallint not null,  -- 0 the messenger's server's, 1 the author's, 2 a receiver's; less is better
    went_out        boolean  not null,  -- an envelope that it came in was seen in the network
    is_typed        boolean  not null,  -- a sample says a type
    rare            bytea    not null,  -- message_rare; usually empty
    external_bytes  bytea    not null,  -- id_bytes of the message's id as clients send it
    envelope_bytes  bytea    not null,  -- id_bytes of its envelope's id
    topics          bytea    not null,
    primary key (channel_id, message_id)
);
create index message_first_envelope on message (first_envelope) where first_envelope <> 0;

-- Messages, with everything that is known about them.
create view whole_message as
select
    channel_id,
    message_id,
    sent_at,
    moment_at(sent_at, created_after, rare, 3) as created_at,  -- of its first accepted sample; so are message_size,
                                                               -- envelope_id and topics
    kind,
    coalesce(rare_value(rare, 4), nullif(size_bytes, -1)) as message_size,  -- bytes; NULL: not said
    id_text(external_bytes) as external_id,
    id_text(envelope_bytes) as envelope_id,                    -- empty: none
    topics,
    clock,
    case when is_typed then coalesce(rare_value(rare, 1), moment_at(sent_at, created_after, rare, 3)) end
        as typed_at,       -- createdAt of the sample that kind comes from; NULL: no sample says a type
    case when is_typed then coalesce(rare_value(rare, 2), sent_at) end
        as typed_sent_at,  -- sentAt in that sample
    went_out
from message;

-- The class of a delay in ms, one of 15: model.DELAY_EDGES_MS. 0: not known; 1: negative by more than a second.
create function delay_class(delay bigint) returns smallint
immutable parallel safe language sql
return coalesce(
    1 + width_bucket(
        delay,
        array[
            -1000, 1001, 2001, 5001, 10001, 30001, 60001, 300001, 600001, 1800001, 3600001, 21600001, 86400001
        ]::bigint[]
    ),
    0
)::smallint;

-- What became of a message at a receiver, as one number. The key's index includes it, so computing figures reads only
-- the index. The bits:
--   1 to 16      the delay, if the message is held: the class of its delivery if the receiver says when it got the
--                message, else 16 + the class of its report
--   32, 64       how it came: 32 times the wire's number of via
--   128, 256     a sample of the receiver says unreadable; says dropped
--   512, 1024    its author could not send it: by a sample of the author; by a report of the envelope
--   2048         it is not held; every state below 2048 is held
--   4096         there is no sample, only an author's mark
-- said: the bits from 32 to 1024. received_at: NULL if the delay of delivery is not known.
create function receipt_state(sent_at bigint, received_at bigint, created_at bigint, said integer) returns smallint
immutable parallel safe language sql
return case
    when created_at is null then (said & 1920) + 2048 + case when said & 896 = 0 then 4096 else 0 end
    else said + case
        when received_at is null then 16 + delay_class(created_at - sent_at)
        else delay_class(received_at - sent_at)
    end
end::smallint;

-- The values in `rare` of a receipt: 1 envelope_id; 2 authored_at, unless it is created_at; 3 to 5 vote; 6 created_at
-- and 7 received_at, if they do not fit into four bytes.
create function receipt_rare(
    sent_at bigint, sent_by_receiver boolean, created_at bigint, received_at bigint, authored_at bigint, vote bigint[],
    envelope_id bigint
) returns bytea
immutable parallel safe language sql
return case
    when envelope_id is null and vote is null
     and not (sent_by_receiver and authored_at is distinct from created_at)
     and moment_after(sent_at, created_at) <> 2147483647 and moment_after(sent_at, received_at) <> 2147483647
    then ''::bytea
    else rare_values(array[
        envelope_id,
        case
            when sent_by_receiver and authored_at is distinct from created_at
            then coalesce(authored_at, 9223372036854775807)
        end,
        vote[1], vote[2], vote[3],
        case when moment_after(sent_at, created_at) = 2147483647 then created_at end,
        case when moment_after(sent_at, received_at) = 2147483647 then received_at end
    ])
end;

-- One row for each (channel, message, receiver): what became of the message at the receiver, or that the receiver wrote
-- it. Partitioned by the day of sent_at. The key begins with sent_at, so a window is one range of the key, and inserts
-- stay at its right edge.
create table receipt (
    sent_at           bigint   not null,  -- the message's
    channel_id        bigint   not null,
    message_id        bigint   not null,
    receiver_id       bigint   not null,
    created_after     integer  not null,  -- moment_after of created_at in whole_receipt
    received_after    integer  not null,  -- moment_after of received_at there
    kind              integer  not null,  -- the message's
    state             smallint not null,  -- receipt_state; its delay is corrected by the author's clock if that is
                                          -- known, but not in the author's own receipt
    sent_by_receiver  boolean  not null,  -- the receiver wrote the message, so it is never expected to receive it
    rare              bytea    not null,  -- receipt_rare; usually empty
    -- The key's index includes the other columns that figures need, so computing an hour reads only the index.
    primary key (sent_at, channel_id, message_id, receiver_id) include (kind, state, sent_by_receiver)
) partition by range (sent_at);
-- Authors whose clock is off by a second or more.
create index receipt_author_clock on receipt (sent_at) include (channel_id, message_id, received_after)
where sent_by_receiver and received_after not between -999 and 999 and received_after > -2147483648;
-- Authors' marks.
create index receipt_mark on receipt (sent_at) include (channel_id, message_id, receiver_id, kind)
where state >= 4096;

-- Receipts, with everything that is known about them.
create view whole_receipt as
select
    sent_at,
    channel_id,
    message_id,
    receiver_id,
    moment_at(sent_at, created_after, rare, 6) as created_at,    -- when the first sample that holds the message was
                                                                 -- accepted; NULL: no sample holds it
    moment_at(sent_at, received_after, rare, 7) as received_at,  -- when the receiver got the message, or the author
                                                                 -- sent it; corrected by client_time if the push
                                                                 -- has it. NULL: not known
    kind,
    sent_by_receiver,
    state,
    case
        when sent_by_receiver
        then coalesce(rare_value(rare, 2), moment_at(sent_at, created_after, rare, 6))
    end as authored_at,   -- when it was first reported that the receiver wrote it; NULL: the receiver did not. For an
                          -- author, NULL and the greatest number mean that the time is not known
    case
        when rare_value(rare, 3) is not null
        then array[rare_value(rare, 3), rare_value(rare, 4), rare_value(rare, 5)]
    end as vote,          -- clock, createdAt and sentAt of its first sample by its best clock: its vote for the
                          -- message's sentAt. NULL: the message's clock, this created_at and this sent_at
    rare_value(rare, 1) as envelope_id  -- status-go: of the sample that created_at comes from; NULL: not said
from receipt;

-- The first report of each outcome other than held, with its reason.
create table failure (
    sent_at      bigint   not null,  -- the message's
    channel_id   bigint   not null,
    message_id   bigint   not null,
    receiver_id  bigint   not null,
    outcome      smallint not null,  -- as on the wire: 1 unreadable, 2 dropped, 3 send_failed; 4: 3, of its envelope
    created_at   bigint,             -- of that report; NULL: not known
    reason       text     not null,  -- a code of the app's own; empty: not said
    primary key (sent_at, channel_id, message_id, receiver_id, outcome)
);
create index failure_receiver on failure (receiver_id);

-- The span in which a receiver is known to be in a channel, by the messages that it reported. Outlives the samples.
create table membership (
    channel_id         bigint  not null,
    receiver_id        bigint  not null,
    first_sent_at      bigint,  -- of the earliest message of the channel that it ever reported; NULL: it reported none
    last_sent_minute   bigint,  -- of the latest one
    has_said           boolean not null default false,  -- it ever reported joining or leaving: then its stays decide
    had_stays          boolean not null default false,  -- it had stays, by rows of membership_report that are deleted
    primary key (channel_id, receiver_id)
) with (fillfactor = 70);  -- rows are updated in place, at most once a minute
create index membership_receiver on membership (receiver_id);

-- Receivers' reports of joining and leaving a channel, one row each. Replayed in the order of the key, they give the
-- stays of the receiver (docs/algorithm.md). A report is deleted once it can change no window that can still be
-- computed.
create table membership_report (
    channel_id   bigint not null,
    receiver_id  bigint not null,
    created_at   bigint not null,  -- of the push
    joined_at    bigint not null,  -- by the receiver's clock; 0: not said
    left_at      bigint not null,  -- likewise; both 0: the receiver says that it is in
    primary key (channel_id, receiver_id, created_at, joined_at, left_at)
);

-- Runs of numbers: consecutive numbers of an installation's samples that arrived. A push that continues a stored run
-- makes that run longer, so an installation that loses nothing has one row.
create table report_run (
    installation_id  bigint not null,
    first_sequence   bigint not null,
    last_sequence    bigint not null,
    first_sent_at    bigint,           -- sentAt in its first accepted sample; NULL: all were rejected
    last_sent_at     bigint,           -- sentAt in its last accepted sample
    primary key (installation_id, first_sequence)
) with (fillfactor = 70);  -- rows are updated in place

-- Numbers of samples that an installation reports as lost, and from when to when their messages were sent. The first
-- and the last are included. Numbers that arrived after all are in report_run too.
create table lost_report (
    installation_id  bigint not null,
    first_sequence   bigint not null,
    last_sequence    bigint not null,
    first_sent_at    bigint not null,
    last_sent_at     bigint not null,
    primary key (installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at)
);

-- Receivers that recorded one message in `one_in` when more were wanted, because they had not heard of a newer rule of
-- sampling. They do not count in windows of that time.
create table coarse_receiver (
    channel_id   bigint  not null,
    receiver_id  bigint  not null,
    since_at     bigint  not null,  -- from_at of the rule that they had not heard of
    one_in       integer not null,
    until_at     bigint  not null,  -- sentAt of their last sample at that rate
    primary key (channel_id, receiver_id, since_at, one_in)
);

-- Islands. Each joins runs that touch or overlap, because pushes come in any order. Between two islands, samples are
-- missing.
create view report_island as
select
    installation_id,
    min(first_sequence) as first_sequence,
    max(last_sequence) as last_sequence,
    (array_agg(first_sent_at order by first_sequence) filter (where first_sent_at is not null))[1] as begins_at,
    (array_agg(last_sent_at order by last_sequence desc, last_sent_at desc) filter (where last_sent_at is not null))[1]
        as ends_at
from (
    select *, count(*) filter (where begins) over (partition by installation_id order by first_sequence) as island
    from (
        select
            *,
            first_sequence > 1 + max(last_sequence) over (
                partition by installation_id order by first_sequence rows between unbounded preceding and 1 preceding
            ) as begins
        from report_run
    ) run
) numbered
group by installation_id, island;

-- Reports about envelopes, which come apart from the messages: which message came in which envelope (the first envelope
-- of a message is in `message`), ...
create table message_envelope (
    channel_id   bigint not null,
    message_id   bigint not null,
    envelope_id  bigint not null,
    created_at   bigint not null,  -- of the first sample that says so; the row is deleted with the samples of that day
    primary key (channel_id, message_id, envelope_id)
);
create index message_envelope_envelope on message_envelope (envelope_id);

-- ... and what became of an envelope. Whichever report comes first is kept for the other.
create table envelope_event (
    envelope_id      bigint   not null,
    event            smallint not null,  -- 0 sent, 1 send_failed, 2 went_out, 3 from_store: model.EnvelopeEvent
    installation_id  bigint   not null,  -- the one that reports it
    receiver_id      bigint   not null,  -- the one that reports it; 0: the installation names none
    created_at       bigint   not null,  -- of the first such report
    reason           text     not null,  -- of the same report; empty: not said
    primary key (envelope_id, event, installation_id, receiver_id)
);
create index envelope_event_receiver on envelope_event (receiver_id);

-- Unreadable samples that name an envelope in place of a message. Each is a sample of every message of that envelope.
create table unreadable_envelope (
    envelope_id  bigint   not null,
    channel_id   bigint   not null,  -- 0: any channel that the envelope came in
    receiver_id  bigint   not null,
    created_at   bigint   not null,  -- this and the next columns: of the first such sample
    sent_at      bigint   not null,
    clock        smallint not null,  -- as in message
    reason       text     not null,
    primary key (envelope_id, channel_id, receiver_id)
);
create index unreadable_envelope_receiver on unreadable_envelope (receiver_id);

-- When samples for a minute of event time last came. It shows which windows must be computed again.
create table arrival (
    sent_minute         bigint primary key,
    arrived_at          bigint not null,  -- by the clock of the server that took them, to the minute
    arrived_on_time_at  bigint            -- the same for samples that were accepted before their shortest window was
                                          -- settled; NULL: all were late
);

-- Three tables of earlier rows that ingest found to be wrong. Repair corrects them before the next window is computed.

-- Samples differ in sentAt, or the message's type changed: receipts may have a sentAt or kind that is not the
-- message's.
create table doubted_message (
    channel_id  bigint not null,
    message_id  bigint not null,
    primary key (channel_id, message_id)
);
-- An earlier copy of a sample came: last_receipt_minute may be too late.
create table doubted_receiver (
    receiver_id  bigint primary key
);
-- Something new is known about the clock of the author: delays of the message's receipts do not take it into account
-- yet.
create table doubted_delay (
    sent_at     bigint not null,
    channel_id  bigint not null,
    message_id  bigint not null,
    primary key (sent_at, channel_id, message_id)
);

-- Days whose samples were cleaned, all or in part. Samples that come for such a day later are not all that it had. So
-- no window over it is computed any more; stored figures stay.
create table cleaned_day (
    day_start  bigint primary key  -- Unix ms, midnight UTC
);
