-- Messages and receipts in fewer bytes: schema/samples.sql says how.
create function moment_after(sent_at bigint, moment bigint) returns integer
immutable parallel safe language sql
return case
    when moment is null then -2147483648
    when moment - sent_at between -2147483647 and 2147483646 then moment - sent_at
    else 2147483647
end::integer;

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

create function moment_at(sent_at bigint, after integer, rare bytea, number integer) returns bigint
immutable parallel safe language sql
return case after
    when -2147483648 then null
    when 2147483647 then rare_value(rare, number)
    else sent_at + after
end;

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

alter index message_pkey rename to wide_message_pkey;
alter table message rename to wide_message;
create table message (
    sent_at         bigint   not null,
    channel_id      bigint   not null,
    message_id      bigint   not null,
    first_envelope  bigint   not null,
    created_after   integer  not null,
    size_bytes      integer  not null,
    kind            integer  not null,
    clock           smallint not null,
    went_out        boolean  not null,
    is_typed        boolean  not null,
    rare            bytea    not null,
    external_bytes  bytea    not null,
    envelope_bytes  bytea    not null,
    topics          bytea    not null,
    primary key (channel_id, message_id)
);
create index message_first_envelope on message (first_envelope) where first_envelope <> 0;
insert into message (
    sent_at, channel_id, message_id, first_envelope, created_after, size_bytes, kind, clock, went_out, is_typed, rare, external_bytes,
    envelope_bytes, topics
)
select
    m.sent_at, m.channel_id, m.message_id, coalesce(e.envelope_id, 0), moment_after(sent_at, created_at),
    least(coalesce(message_size, -1), 2147483647), kind, clock, went_out, typed_at is not null,
    message_rare(sent_at, created_at, typed_at, typed_sent_at, message_size),
    id_bytes(external_id), id_bytes(m.envelope_id), topics
from wide_message m
left join (
    select channel_id, message_id, min(envelope_id) as envelope_id from message_envelope group by channel_id, message_id
) e on e.channel_id = m.channel_id and e.message_id = m.message_id;
drop table wide_message;
create temp table further_envelope on commit drop as
select *
from message_envelope
where (channel_id, message_id, envelope_id) not in (
    select channel_id, message_id, min(envelope_id) from message_envelope group by channel_id, message_id
);
truncate message_envelope;
insert into message_envelope (channel_id, message_id, envelope_id, created_at)
select channel_id, message_id, envelope_id, created_at from further_envelope;

create view whole_message as
select
    channel_id,
    message_id,
    sent_at,
    moment_at(sent_at, created_after, rare, 3) as created_at,

    kind,
    coalesce(rare_value(rare, 4), nullif(size_bytes, -1)) as message_size,
    id_text(external_bytes) as external_id,
    id_text(envelope_bytes) as envelope_id,
    topics,
    clock,
    case when is_typed then coalesce(rare_value(rare, 1), moment_at(sent_at, created_after, rare, 3)) end
        as typed_at,
    case when is_typed then coalesce(rare_value(rare, 2), sent_at) end
        as typed_sent_at,
    went_out
from message;

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

-- Each day of receipts is written anew, beside the old one, and its indexes after that.
alter index receipt_pkey rename to wide_receipt_pkey;
drop index receipt_author_clock;
drop index receipt_mark;
alter table receipt rename to wide_receipt;
create table receipt (
    sent_at           bigint   not null,
    channel_id        bigint   not null,
    message_id        bigint   not null,
    receiver_id       bigint   not null,
    created_after     integer  not null,
    received_after    integer  not null,
    kind              integer  not null,
    state             smallint not null,
    sent_by_receiver  boolean  not null,
    rare              bytea    not null,
    primary key (sent_at, channel_id, message_id, receiver_id) include (kind, state, sent_by_receiver)
) partition by range (sent_at);
create index receipt_author_clock on receipt (sent_at) include (channel_id, message_id, received_after)
where sent_by_receiver and received_after not between -999 and 999 and received_after > -2147483648;
create index receipt_mark on receipt (sent_at) include (channel_id, message_id, receiver_id, kind)
where state >= 4096;

do $$
declare
    day text;
    bounds text;
    packed text;
begin
    for day, bounds, packed in
        select
            of_day.relname,
            pg_get_expr(of_day.relpartbound, of_day.oid),
            case when 'fillfactor=100' = any (of_key.reloptions) then 'with (fillfactor = 100)' end
        from pg_inherits
        join pg_class of_day on of_day.oid = inhrelid
        left join pg_class of_key on of_key.oid = to_regclass(quote_ident(of_day.relname || '_pkey'))
        where inhparent = 'wide_receipt'::regclass
        order by of_day.relname
    loop
        execute format('alter table %1$I rename to wide_%1$s', day);
        execute format(
            'create table %I (like receipt including defaults) with (autovacuum_vacuum_insert_scale_factor = 0.05)', day
        );
        execute format(
            'insert into %1$I (
                sent_at, channel_id, message_id, receiver_id, created_after, received_after, kind, state, sent_by_receiver,
                rare
            )
            select
                sent_at, channel_id, message_id, receiver_id,
                moment_after(sent_at, created_at),
                moment_after(sent_at, received_at),
                kind, state, sent_by_receiver,
                receipt_rare(sent_at, sent_by_receiver, created_at, received_at, authored_at, vote, envelope_id)
            from wide_%1$s',
            day
        );
        execute format('drop table wide_%s', day);
        execute format(
            'alter table %1$I add primary key (sent_at, channel_id, message_id, receiver_id)
                include (kind, state, sent_by_receiver) %2$s',
            day,
            packed
        );
        execute format('alter table receipt attach partition %I %s', day, bounds);
    end loop;
end
$$;
drop table wide_receipt;

-- From PostgreSQL 18 on "not null" has a name, too, and the old tables had the better ones.
do $$
declare
    name text;
    old text;
begin
    for name, old in
        select conrelid::regclass, conname
        from pg_constraint where conrelid in ('message'::regclass, 'receipt'::regclass) and conname like '%\_not\_null1'
    loop
        execute format('alter table %I rename constraint %I to %I', name, old, rtrim(old, '1'));
    end loop;
end
$$;

create view whole_receipt as
select
    sent_at,
    channel_id,
    message_id,
    receiver_id,
    moment_at(sent_at, created_after, rare, 6) as created_at,
    moment_at(sent_at, received_after, rare, 7) as received_at,
    kind,
    sent_by_receiver,
    state,
    case
        when sent_by_receiver
        then coalesce(rare_value(rare, 2), moment_at(sent_at, created_after, rare, 6))
    end as authored_at,
    case
        when rare_value(rare, 3) is not null
        then array[rare_value(rare, 3), rare_value(rare, 4), rare_value(rare, 5)]
    end as vote,
    rare_value(rare, 1) as envelope_id
from receipt;
