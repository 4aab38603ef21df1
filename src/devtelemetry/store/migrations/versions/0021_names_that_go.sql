alter table channel add column is_shared boolean not null default false;
-- Who named those that have figures cannot be told any more.
update channel set is_shared = true where channel_id in (select channel_id from reliability_channel);

alter table receiver_kind add column named_at bigint not null default 0;
alter table receiver_kind alter column named_at drop default;
update receiver_kind set named_at = extract(epoch from now())::bigint * 1000;
