-- Upgrades the tables of versions without sampling.
alter table telemetry_identity add column push_interval integer not null default 0;
alter table telemetry_outbox add column one_in integer not null default 1;
