-- What was reported: messages, what became of them at each receiver, and who is in which channel. Conventions:
-- deployment.sql.

-- Messages and receipts in few bytes (docs/adr/0043-narrow-rows.md). They have no NULL, since a row with one begins with
-- eight bytes more. Their times stand as ms after sent_at; -2147483648: not known; 2147483647: it takes more than four
-- bytes, so the time itself stands in `rare`.
create function moment_after(sent_at bigint, moment bigint) returns integer
immutable parallel safe language sql
return case
    when moment is null then -2147483648
    when moment - sent_at between -2147483647 and 2147483646 then moment - sent_at
    else 2147483647
end::integer;

-- What few rows have, eight bytes each by a number from 1; of those at the end that are not known nothing is stored.
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

-- number: of the moment in rare.
create function moment_at(sent_at bigint, after integer, rare bytea, number integer) returns bigint
immutable parallel safe language sql
return case after
    when -2147483648 then null
    when 2147483647 then rare_value(rare, number)
    else sent_at + after
end;

-- Of a message: 1 typed_at (not stored: created_at), 2 typed_sent_at (not stored: sent_at), 3 created_at, 4 message_size.
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

-- An id in clear. Most are digits of 16, with or without 0x, or UUIDs: then two letters are one byte. It begins with 0
-- before a text, 1 before what had 0x, 2 before digits, 3 before a UUID. Empty: there is none.
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

-- One row a message. Not partitioned by day: that a message has one sentAt for ever is a constraint, and
-- a key cannot span partitions without their day (docs/adr/0003-one-row-a-message.md).
create table message (
    sent_at         bigint   not null,  -- what most installations say by the best clock: docs/algorithm.md
    channel_id      bigint   not null,
    message_id      bigint   not null,
    first_envelope  bigint   not null,  -- one that it came in, by what was told first; 0: then nobody told of any
    created_after   integer  not null,  -- of created_at, as in whole_message
    size_bytes      integer  not null,  -- -1: not said; 2147483647: it stands in rare
    kind            integer  not null,  -- of its first accepted sample that says a type
    clock           smallint not null,  -- whose: 0 the messenger's server's, 1 the author's, 2 a receiver's own; the less the better
    went_out        boolean  not null,  -- an envelope that it came in was seen in the network
    is_typed        boolean  not null,  -- a sample says a type
    rare            bytea    not null,  -- message_rare; of most it is empty
    external_bytes  bytea    not null,  -- id_bytes of the message's id as clients send it
    envelope_bytes  bytea    not null,  -- likewise of its envelope's
    topics          bytea    not null,
    primary key (channel_id, message_id)
);
create index message_first_envelope on message (first_envelope) where first_envelope <> 0;

-- Messages with all that is known of them.
create view whole_message as
select
    channel_id,
    message_id,
    sent_at,
    moment_at(sent_at, created_after, rare, 3) as created_at,  -- of its first accepted sample, which message_size,
                                                               -- envelope_id and topics are of
    kind,
    coalesce(rare_value(rare, 4), nullif(size_bytes, -1)) as message_size,  -- bytes; NULL: not said
    id_text(external_bytes) as external_id,
    id_text(envelope_bytes) as envelope_id,                    -- empty: none
    topics,
    clock,
    case when is_typed then coalesce(rare_value(rare, 1), moment_at(sent_at, created_after, rare, 3)) end
        as typed_at,       -- created_at of the sample that kind is of; NULL: none says a type
    case when is_typed then coalesce(rare_value(rare, 2), sent_at) end
        as typed_sent_at,  -- sentAt as that sample says it
    went_out
from message;

-- How late something is, in ms, as one of 15 classes: model.DELAY_EDGES_MS. 0: not known; 1: more than a second too early.
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

-- What became of a message at a receiver, in one number, so that the figures read nothing but the key's index.
--   1 to 16      how late a receipt is: the class of its delivery where the receiver says when it got the message, else
--                16 + the class of its report
--   32, 64       how it came, 32 times the wire's number of via
--   128, 256     it was also unreadable; dropped
--   512, 1024    its author could not send it, by a sample of its own; by what it said of the envelope
--   2048         it is not held: less than that means it is
--   4096         there is no sample at all, but a mark of its author
-- said: the bits from 32 to 1024. received_at: NULL where delays of delivery are not known.
create function receipt_state(sent_at bigint, received_at bigint, created_at bigint, said integer) returns smallint
immutable parallel safe language sql
return case
    when created_at is null then (said & 1920) + 2048 + case when said & 896 = 0 then 4096 else 0 end
    else said + case
        when received_at is null then 16 + delay_class(created_at - sent_at)
        else delay_class(received_at - sent_at)
    end
end::smallint;

-- Of a receipt: 1 envelope_id, 2 authored_at (not stored: created_at), 3 4 5 vote, 6 created_at, 7 received_at.
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

-- One row a (channel, message, receiver): what became of the message at the receiver, or that it wrote it. Partitioned by
-- day of sent_at; sent_at leads the key, so a window is one range of it and inserts stay at its right edge.
create table receipt (
    sent_at           bigint   not null,  -- the message's
    channel_id        bigint   not null,
    message_id        bigint   not null,
    receiver_id       bigint   not null,
    created_after     integer  not null,  -- this and the next: of created_at and received_at in whole_receipt
    received_after    integer  not null,
    kind              integer  not null,  -- the message's
    state             smallint not null,  -- receipt_state, by the clock of the message's author as far as that is known; of an
                                          -- author by its own
    sent_by_receiver  boolean  not null,  -- the receiver wrote the message: it is never expected to receive it
    rare              bytea    not null,  -- receipt_rare; of most it is empty
    -- What else an hour's figures need stands in the key's index: computing them reads nothing but it.
    primary key (sent_at, channel_id, message_id, receiver_id) include (kind, state, sent_by_receiver)
) partition by range (sent_at);
-- Authors whose clock is off by a second or more.
create index receipt_author_clock on receipt (sent_at) include (channel_id, message_id, received_after)
where sent_by_receiver and received_after not between -999 and 999 and received_after > -2147483648;
-- What authors are only known to have sent, without a sample of it.
create index receipt_mark on receipt (sent_at) include (channel_id, message_id, receiver_id, kind)
where state >= 4096;

-- Receipts with all that is known of them.
create view whole_receipt as
select
    sent_at,
    channel_id,
    message_id,
    receiver_id,
    moment_at(sent_at, created_after, rare, 6) as created_at,    -- when the first of its samples that hold it was accepted;
                                                                    -- NULL: none does
    moment_at(sent_at, received_after, rare, 7) as received_at,  -- when it held the message, by the server's clock as far
                                                                    -- as its push told its own; of an author: when it sent
                                                                    -- it. NULL: not known
    kind,
    sent_by_receiver,
    state,
    case
        when sent_by_receiver
        then coalesce(rare_value(rare, 2), moment_at(sent_at, created_after, rare, 6))
    end as authored_at,   -- when it was first told that the receiver wrote it; NULL: it was not; NULL, and the greatest
                          -- number: nobody knows
    case
        when rare_value(rare, 3) is not null
        then array[rare_value(rare, 3), rare_value(rare, 4), rare_value(rare, 5)]
    end as vote,          -- what the first of its samples by its best clock says of the message's sentAt: clock, created_at,
                          -- sent_at. NULL: the message's clock, created_at, sent_at
    rare_value(rare, 1) as envelope_id  -- status-go: of the sample that created_at is of; NULL: not said
from receipt;

-- Samples of messages that are not held, and why: the first one of each outcome.
create table failure (
    sent_at      bigint   not null,  -- the message's
    channel_id   bigint   not null,
    message_id   bigint   not null,
    receiver_id  bigint   not null,
    outcome      smallint not null,  -- as on the wire: 1 unreadable, 2 dropped, 3 send_failed; 4: as 3, said of the envelope
    created_at   bigint,             -- of that sample; NULL: not known
    reason       text     not null,  -- a code of the app's; empty: not said
    primary key (sent_at, channel_id, message_id, receiver_id, outcome)
);
create index failure_receiver on failure (receiver_id);

-- From when to when a receiver is known in a channel, by what it held. Outlives the samples.
create table membership (
    channel_id         bigint  not null,
    receiver_id        bigint  not null,
    first_sent_at      bigint,  -- of the earliest message of the channel it ever held; NULL: it holds none
    last_sent_minute   bigint,  -- of the latest
    has_said           boolean not null default false,  -- it ever said something of joining or leaving: that decides
    had_stays          boolean not null default false,  -- there were stays before what is left of its membership_report
    primary key (channel_id, receiver_id)
) with (fillfactor = 70);  -- updated in place, once a minute at most
create index membership_receiver on membership (receiver_id);

-- What receivers said of joining and leaving a channel, a row each time. Replayed in the order of the key it tells when
-- the receiver was there: its stays (docs/algorithm.md). What only tells of stays that ended before all windows that can
-- still be computed is deleted.
create table membership_report (
    channel_id   bigint not null,
    receiver_id  bigint not null,
    created_at   bigint not null,  -- of the push
    joined_at    bigint not null,  -- as it says, by its clock; 0: it does not
    left_at      bigint not null,  -- likewise; neither: it is in
    primary key (channel_id, receiver_id, created_at, joined_at, left_at)
);

-- Which reports of an installation arrived, by its own numbers: runs without a hole. A push whose number follows a
-- stored run's last makes that run longer, so an installation that loses nothing has one row.
create table report_run (
    installation_id  bigint not null,
    first_sequence   bigint not null,
    last_sequence    bigint not null,
    first_sent_at    bigint,           -- as said by the first accepted of its samples; NULL: all were rejected
    last_sent_at     bigint,           -- as said by the last one
    primary key (installation_id, first_sequence)
) with (fillfactor = 70);  -- updated in place

-- Numbers of reports that an installation says it lost, and when their messages were sent, both included. Whatever
-- arrived of them after all stands in report_run too.
create table lost_report (
    installation_id  bigint not null,
    first_sequence   bigint not null,
    last_sequence    bigint not null,
    first_sent_at    bigint not null,
    last_sent_at     bigint not null,
    primary key (installation_id, first_sequence, last_sequence, first_sent_at, last_sent_at)
);

-- Receivers that recorded one message in so many while more was wanted, since they had not heard of it. They do not count
-- in windows of that time.
create table coarse_receiver (
    channel_id   bigint  not null,
    receiver_id  bigint  not null,
    since_at     bigint  not null,  -- from_at of the rule they had not heard of
    one_in       integer not null,
    until_at     bigint  not null,  -- sent_at of the last sample that they recorded so
    primary key (channel_id, receiver_id, since_at, one_in)
);

-- Runs that touch or overlap, since pushes come in any order: an island. Between two islands reports are missing.
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

-- Some things are said of envelopes, apart from the message: which messages came in which (of each the first one stands in
-- message), ...
create table message_envelope (
    channel_id   bigint not null,
    message_id   bigint not null,
    envelope_id  bigint not null,
    created_at   bigint not null,  -- of the first sample that said so; its row goes with the samples of that day
    primary key (channel_id, message_id, envelope_id)
);
create index message_envelope_envelope on message_envelope (envelope_id);

-- ... and what became of it. Whichever comes first waits here for the other.
create table envelope_event (
    envelope_id      bigint   not null,
    event            smallint not null,  -- 0 sent, 1 send_failed, 2 went_out, 3 from_store: model.EnvelopeEvent
    installation_id  bigint   not null,  -- that says so
    receiver_id      bigint   not null,  -- likewise; 0: the installation names none
    created_at       bigint   not null,  -- of the first that says so
    reason           text     not null,  -- likewise; empty: not said
    primary key (envelope_id, event, installation_id, receiver_id)
);
create index envelope_event_receiver on envelope_event (receiver_id);

-- Samples of what could not be read, so that the message has no name: each stands for the messages of its envelope.
create table unreadable_envelope (
    envelope_id  bigint   not null,
    channel_id   bigint   not null,  -- 0: whichever it came in
    receiver_id  bigint   not null,
    created_at   bigint   not null,  -- this and what follows: of the first such sample
    sent_at      bigint   not null,
    clock        smallint not null,  -- as in message
    reason       text     not null,
    primary key (envelope_id, channel_id, receiver_id)
);
create index unreadable_envelope_receiver on unreadable_envelope (receiver_id);

-- When samples last came for a minute of event time: which windows must be computed again.
create table arrival (
    sent_minute         bigint primary key,
    arrived_at          bigint not null,  -- wall clock of the server that took them, to a minute
    arrived_on_time_at  bigint            -- the same of those whose created_at lies before their shortest window settled;
                                          -- NULL: all were late
);

-- What ingest found to be wrong in rows written earlier, put right before the next window is computed: ...
create table doubted_message (  -- ... samples differ in sentAt, or the first one that says a type came: receipts may stand
    channel_id  bigint not null,  -- under a sentAt or kind that is not the message's
    message_id  bigint not null,
    primary key (channel_id, message_id)
);
create table doubted_receiver (  -- ... an earlier copy of a sample came: last_receipt_minute may be too late
    receiver_id  bigint primary key
);
create table doubted_delay (  -- ... something new is known of the clock of its author: delays of its receipts are as before
    sent_at     bigint not null,
    channel_id  bigint not null,
    message_id  bigint not null,
    primary key (sent_at, channel_id, message_id)
);

-- Days whose samples were cleaned, in part or all: whatever comes for them later is not the whole. No window over one
-- is computed any more; what was computed stays.
create table cleaned_day (
    day_start  bigint primary key  -- Unix ms, midnight UTC
);
