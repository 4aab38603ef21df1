-- Upgrades the tables of versions that deleted a stay once the server knew it. Stays that it does not know are kept.
insert into telemetry_stay (channel_id, joined_at, left_at, version)
select channel_id, joined_at, left_at, version from telemetry_membership;
drop table telemetry_membership;
alter table telemetry_identity add column knows_stays integer not null default 0;
