-- Limits the kinds of a channel, whatever types clients make up: the most frequent kinds are told apart, all others
-- become one. So the cost stays linear, and nobody can be recognized by a type of their own. Reads `measured` and
-- `held`.

-- name: find
-- together: the one kind that the rare kinds of a channel become; its type is shown as "(other)".
create temp table rare_kind on commit drop as
select channel_id, kind, min(kind) over (partition by channel_id) as together
from (
    select
        channel_id,
        kind,
        row_number() over (partition by channel_id order by cardinality(timeline) desc, kind) as rank
    from measured
) ranked
where rank > $most_kinds::integer

-- name: any
select exists (select 1 from rare_kind)

-- name: put_measured_together
with rare as (
    delete from measured m
    using rare_kind r
    where m.channel_id = r.channel_id and m.kind = r.kind
    returning r.together, m.*
),
part as (
    select channel_id, together as kind, sum(captures) as captures, sum(captured_twice) as captured_twice
    from rare
    group by channel_id, together
)
insert into measured (
    channel_id, kind, timeline, lone_voucher, lone_id, lone_sent_at, lone_is_sent, doubtful_id, doubtful_sent_at,
    neighbor_id, neighbor_sent_at, neighbor_bucket, captures, captured_twice, capturers, unsent_id, unsent_sent_at,
    authored_id, authored_sent_at, authored_by, several_id, several_sent_at
)
select
    channel_id, kind, timeline.sent_at, coalesce(lone.voucher, '{}'), coalesce(lone.id, '{}'), coalesce(lone.sent_at, '{}'),
    coalesce(lone.is_sent, '{}'), doubtful.id, doubtful.sent_at, neighbor.id, neighbor.sent_at, neighbor.bucket,
    captures, captured_twice, coalesce(capturer.receiver_id, '{}'), unsent.id, unsent.sent_at, authored.id, authored.sent_at,
    authored.author, several.id, several.sent_at
from part
left join (
    select channel_id, array_agg(t order by t) as sent_at
    from rare
    cross join lateral unnest(timeline) as t
    group by channel_id
) timeline using (channel_id)
left join (
    select
        channel_id,
        array_agg(v order by v, t) as voucher,
        array_agg(i order by v, t) as id,
        array_agg(t order by v, t) as sent_at,
        array_agg(s order by v, t) as is_sent
    from rare
    cross join lateral unnest(lone_voucher, lone_id, lone_sent_at, lone_is_sent) as one (v, i, t, s)
    group by channel_id
) lone using (channel_id)
left join (
    select channel_id, array_agg(i) as id, array_agg(t) as sent_at
    from rare
    cross join lateral unnest(doubtful_id, doubtful_sent_at) as one (i, t)
    group by channel_id
) doubtful using (channel_id)
left join (
    select channel_id, array_agg(i) as id, array_agg(t) as sent_at, array_agg(b) as bucket
    from rare
    cross join lateral unnest(neighbor_id, neighbor_sent_at, neighbor_bucket) as one (i, t, b)
    group by channel_id
) neighbor using (channel_id)
left join (
    select channel_id, array_agg(r) as receiver_id
    from rare
    cross join lateral unnest(capturers) as r
    group by channel_id
) capturer using (channel_id)
left join (
    select channel_id, array_agg(i) as id, array_agg(t) as sent_at
    from rare
    cross join lateral unnest(unsent_id, unsent_sent_at) as one (i, t)
    group by channel_id
) unsent using (channel_id)
left join (
    select channel_id, array_agg(i) as id, array_agg(t) as sent_at, array_agg(a) as author
    from rare
    cross join lateral unnest(authored_id, authored_sent_at, authored_by) as one (i, t, a)
    group by channel_id
) authored using (channel_id)
left join (
    select channel_id, array_agg(i) as id, array_agg(t) as sent_at
    from rare
    cross join lateral unnest(several_id, several_sent_at) as one (i, t)
    group by channel_id
) several using (channel_id)

-- name: put_held_together
update held h
set kind = together
from rare_kind r
where h.channel_id = r.channel_id and h.kind = r.kind
